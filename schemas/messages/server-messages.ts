import { Type, type Static, type TUnion, type TLiteral } from '@sinclair/typebox'
import { CHANNEL_NAMES, CHANNEL_PAYLOADS } from '../channels/index.js'
import { MissionId } from '../mission.js'
import { bare, onChannel, ServerIdentity, withError, withPayload } from './envelope.js'
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
  unknown_channel: 'A name is not that of a channel; `positions` are the places of such names in `channels`, from 0.'
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

const SubscriptionAck = Type.Object({
  channel: oneOf(CHANNEL_NAMES),
  status: oneOf(['subscribed', 'unsubscribed'])
})

const MissionAck = Type.Object({
  missionId: MissionId,
  status: Type.Literal('accepted'),
  action: Type.Optional(Type.Literal('cancel'))
})

/** Why messages of a channel did not reach a client that did not read in time. */
export const GAP_CAUSES = ['trimmed', 'overflow'] as const
export type GapCause = (typeof GAP_CAUSES)[number]

/**
 * `trimmed`: the messages with the offsets of `range` (both ends included) are no longer kept. `overflow`: newest states were dropped because too
 * many waited. The present state of the channel follows in either case.
 */
const SubscriptionGap = Type.Object({
  channel: oneOf(CHANNEL_NAMES),
  cause: oneOf(GAP_CAUSES),
  range: Type.Optional(Type.Object({ epoch: Type.String(), from: Type.Integer({ minimum: 1 }), to: Type.Integer({ minimum: 1 }) }))
})

/** The service is about to close this connection; `retryAfterMs` differs by client, so that they do not all come back at once. */
const ServerDraining = Type.Object({ retryAfterMs: Type.Integer({ minimum: 0 }) })

const WhoAmI = Type.Object({
  server: ServerIdentity,
  version: Type.String(),
  channels: Type.Array(oneOf(CHANNEL_NAMES)),
  capabilities: Type.Array(Type.String())
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
  heartbeat: bare('heartbeat'),
  pong: bare('pong'),
  whoami: withPayload('whoami', WhoAmI),
  protocol_error: withError('protocol_error', ProtocolError)
} as const

export type ServerMessageType = keyof typeof SERVER_MESSAGES
export type ServerMessages = { [Type in ServerMessageType]: Static<(typeof SERVER_MESSAGES)[Type]> }
export type ServerMessage = ServerMessages[ServerMessageType]
