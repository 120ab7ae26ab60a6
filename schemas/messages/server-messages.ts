import { Type, type Static, type TLiteral, type TOptional, type TUnion } from '@sinclair/typebox'
import { CHANNEL_NAMES, CHANNEL_PAYLOADS, LOGGED_CHANNELS, type LoggedChannel } from '../channels/index.js'
import { MissionId } from '../mission.js'
import { bare, common, Cursor, onChannel, replyTo, ServerIdentity, withError, withPayload } from './envelope.js'
import { MAX_CHANNELS_PER_MESSAGE } from './client-messages.js'

/** Codes of `protocol_error`, each with what it tells the client. */
export const PROTOCOL_ERRORS = {
  invalid_json: 'The message is not JSON.',
  invalid_message: 'The message is JSON of the wrong shape; `detail` has up to three reasons.',
  rate_limited: 'Too many messages; the connection is closed right after.',
  unsupported: 'The host gave no handler for this command.',
  invalid_command: 'The command is not one that the host takes.',
  id_reused: 'This id stands for another command that was sent within the last five minutes.',
  too_many_starts: 'Too many missions were started over this connection; at most five a minute.',
  forbidden: 'The host refused this command.',
  unknown_mission: 'There is no such mission, or the client may not see it.',
  internal_error: 'A handler of the host failed; the reason is in its log.'
} as const
export type ProtocolErrorCode = keyof typeof PROTOCOL_ERRORS

/** Codes of `subscription_error`. */
export const SUBSCRIPTION_ERRORS = {
  unknown_channel: 'A name is not that of a channel; `positions` are the places of such names in `channels`, from 0.',
  forbidden: 'This client may not subscribe to a channel; `positions` are the places of such names in `channels`, from 0.'
} as const
export type SubscriptionErrorCode = keyof typeof SUBSCRIPTION_ERRORS

const oneOf = <Name extends string>(names: readonly Name[]) =>
  Type.Union(names.map((name) => Type.Literal(name))) as unknown as TUnion<TLiteral<Name>[]>

const codes = <Code extends string>(table: Record<Code, string>) => oneOf(Object.keys(table) as Code[])

const ProtocolError = Type.Object({
  code: codes(PROTOCOL_ERRORS),
  message: Type.String({ maxLength: 256 }),
  detail: Type.Optional(Type.Array(Type.String({ maxLength: 128 }), { maxItems: 3 }))
})
export type ProtocolError = Static<typeof ProtocolError> & { code: ProtocolErrorCode }

const SubscriptionError = Type.Object({
  code: codes(SUBSCRIPTION_ERRORS),
  message: Type.String({ maxLength: 256 }),
  positions: Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1, maxItems: MAX_CHANNELS_PER_MESSAGE })
})
export type SubscriptionError = Static<typeof SubscriptionError>

const MissionAck = Type.Object({
  missionId: MissionId,
  status: Type.Literal('accepted'),
  action: Type.Optional(Type.Literal('cancel'))
})

/**
 * Why messages of a channel do not reach a client. `trimmed`: they are no longer kept. `overflow`: states were dropped because too many waited for
 * a client that did not read. `epoch_changed`: the cursor is of another process. `mismatch`: the cursor does not fit the messages that are kept.
 * `not_authorised`: the client may follow the channel from now on, but not have what was before.
 */
export const GAP_CAUSES = ['trimmed', 'overflow', 'epoch_changed', 'mismatch', 'not_authorised'] as const
export type GapCause = (typeof GAP_CAUSES)[number]

/** How a subscription begins: without a past, with all that the client missed, or with the present state in its place. */
export const SUBSCRIPTION_OUTCOMES = ['fresh', 'resumed', 'gap'] as const
export type SubscriptionOutcome = (typeof SUBSCRIPTION_OUTCOMES)[number]

/** Offsets of the first and the last message that are missing. */
const GapRange = Type.Object({ epoch: Type.String(), from: Type.Integer({ minimum: 1 }), to: Type.Integer({ minimum: 1 }) })

/** The state of a channel at a cursor; `checksum` is that of the missions in it that have not ended and fit the filter. */
export const AsOf = Type.Object({ ...Cursor.properties, checksum: Type.Optional(Type.String({ pattern: '^[0-9]+-[0-9a-f]{8}$' })) })
export type AsOf = Static<typeof AsOf>

/**
 * How a client is brought up to date: `messages` more messages of the channel follow before anything newer, and then it is as of `asOf`.
 * They are those after its cursor (`resumed`), or the present state (`fresh`, `gap`), each marked `snapshot: true`: the missions that have not
 * ended, and the endings that it may have missed.
 */
const handOver = {
  asOf: Type.Optional(AsOf),
  messages: Type.Optional(Type.Integer({ minimum: 0 }))
}

/** `outcome` and the rest are there for a new subscription; asking again for what a client already has changes nothing. */
const SubscriptionAck = Type.Object({
  channel: oneOf(CHANNEL_NAMES),
  status: oneOf(['subscribed', 'unsubscribed']),
  outcome: Type.Optional(oneOf(SUBSCRIPTION_OUTCOMES)),
  gap: Type.Optional(Type.Object({ cause: oneOf(GAP_CAUSES), range: Type.Optional(GapRange) })),
  ...handOver
})

/** Messages of a channel are missing, because the client did not read in time; the present state of the channel follows. */
const SubscriptionGap = Type.Object({
  channel: oneOf(CHANNEL_NAMES),
  cause: oneOf(GAP_CAUSES),
  range: Type.Optional(GapRange),
  ...handOver
})

/** The service is about to close this connection; `retryAfterMs` differs by client, so that they do not all come back at once. */
const ServerDraining = Type.Object({ retryAfterMs: Type.Integer({ minimum: 0 }) })

const WhoAmI = Type.Object({
  server: ServerIdentity,
  version: Type.String(),
  channels: Type.Array(oneOf(CHANNEL_NAMES)),
  capabilities: Type.Array(Type.String())
})

/** The last positions of the channels that the client is subscribed to: everything up to them was sent before. `intervalMs` is the time to the next one. */
const Heartbeat = Type.Object({
  ...common,
  type: Type.Literal('heartbeat'),
  replyTo,
  intervalMs: Type.Optional(Type.Integer({ minimum: 1 })),
  heads: Type.Optional(Type.Object(Object.fromEntries(LOGGED_CHANNELS.map((name) => [name, Type.Optional(Cursor)])) as Record<LoggedChannel, TOptional<typeof Cursor>>))
})

/** Every message the server sends, by `type`. */
export const SERVER_MESSAGES = {
  metrics_tick: onChannel('metrics_tick', CHANNEL_PAYLOADS.metrics_tick),
  health_delta: onChannel('health_delta', CHANNEL_PAYLOADS.health_delta),
  mission_stats: onChannel('mission_stats', CHANNEL_PAYLOADS.mission_stats),
  mission_update: onChannel('mission_update', CHANNEL_PAYLOADS.mission_update),
  anomaly_alert: onChannel('anomaly_alert', CHANNEL_PAYLOADS.anomaly_alert),
  subscription_ack: withPayload('subscription_ack', SubscriptionAck),
  subscription_error: withError('subscription_error', SubscriptionError),
  mission_ack: withPayload('mission_ack', MissionAck),
  subscription_gap: withPayload('subscription_gap', SubscriptionGap),
  server_draining: withPayload('server_draining', ServerDraining),
  heartbeat: Heartbeat,
  pong: bare('pong'),
  whoami: withPayload('whoami', WhoAmI),
  protocol_error: withError('protocol_error', ProtocolError)
} as const

export type ServerMessageType = keyof typeof SERVER_MESSAGES
export type ServerMessages = { [Type in ServerMessageType]: Static<(typeof SERVER_MESSAGES)[Type]> }
export type ServerMessage = ServerMessages[ServerMessageType]
