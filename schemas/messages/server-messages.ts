import { Type, type Static, type TLiteral, type TUnion } from '@sinclair/typebox'
import { Anomaly, MAX_ALERT_HISTORY } from '../anomaly.js'
import { CHANNEL_NAMES, CHANNEL_PAYLOADS } from '../channels/index.js'
import { MissionId, MissionView } from '../mission.js'
import {
  bare, common, Cursor, cursorByChannel, onChannel, replyTo, withError, withPayload
} from './envelope.js'
import { MAX_CHANNELS_PER_MESSAGE } from './client-messages.js'

/** Codes of `protocol_error` and their meaning. */
export const PROTOCOL_ERRORS = {
  invalid_json: 'The message is not valid JSON.',
  invalid_message: 'The message does not match its schema. `detail` lists up to three reasons.',
  rate_limited: 'The client sent too many messages. The connection is closed next.',
  unsupported: 'This service has no handler for this command.',
  invalid_command: 'This service does not know this command.',
  id_reused: 'The `id` was used for a different command within the last five minutes.',
  too_many_starts: 'Too many missions were started. One user or address may start five per minute.',
  too_many_requests: 'Too many lists or histories were requested. Ask again after `retryAfterMs`.',
  forbidden: 'The service denied this command.',
  unknown_mission: 'The mission does not exist, or the client may not see it.',
  owner_unavailable: 'The process that runs the mission does not answer. If it has died, the mission ends as an error.',
  internal_error: 'A handler of the service failed. The log of the service has the reason.'
} as const
export type ProtocolErrorCode = keyof typeof PROTOCOL_ERRORS

/** Codes of `subscription_error` and their meaning. */
export const SUBSCRIPTION_ERRORS = {
  unknown_channel: 'The channel does not exist. `position` is the index of its name in `channels`, from 0.',
  forbidden: 'The client may not subscribe to the channel. `position` is the index of its name in `channels`, from 0.',
  rate_limited: 'The client requested too many snapshots and replays. Subscribe again after `retryAfterMs`; an ' +
    'existing subscription to the channel stays. `position` is the index of its name in `channels`, from 0.'
} as const
export type SubscriptionErrorCode = keyof typeof SUBSCRIPTION_ERRORS

const oneOf = <Name extends string>(names: readonly Name[]) =>
  Type.Union(names.map((name) => Type.Literal(name))) as unknown as TUnion<TLiteral<Name>[]>

const codes = <Code extends string>(table: Record<Code, string>) => oneOf(Object.keys(table) as Code[])

const ProtocolError = Type.Object({
  code: codes(PROTOCOL_ERRORS),
  message: Type.String({ maxLength: 256 }),
  detail: Type.Optional(Type.Array(Type.String({ maxLength: 128 }), { maxItems: 3 })),
  retryAfterMs: Type.Optional(Type.Integer({ minimum: 1 }))
})
export type ProtocolError = Static<typeof ProtocolError> & { code: ProtocolErrorCode }

/** About one name of a `subscribe` or `unsubscribe`. */
const SubscriptionError = Type.Object({
  code: codes(SUBSCRIPTION_ERRORS),
  message: Type.String({ maxLength: 256 }),
  position: Type.Integer({ minimum: 0, maximum: MAX_CHANNELS_PER_MESSAGE - 1 }),
  retryAfterMs: Type.Optional(Type.Integer({ minimum: 1 }))
})
export type SubscriptionError = Static<typeof SubscriptionError>

const MissionAck = Type.Object({
  missionId: MissionId,
  status: Type.Literal('accepted'),
  action: Type.Optional(Type.Literal('cancel'))
})

/** One page of missions, newest first. Pass `nextCursor` as `cursor` to receive the next page. */
const MissionPage = Type.Object({
  missions: Type.Array(MissionView, { maxItems: 200 }),
  nextCursor: Type.Union([Type.String(), Type.Null()])
})

/**
 * Why messages of a channel are missing.
 *
 * - `trimmed`: the messages are no longer in the history.
 * - `overflow`: replaceable messages were dropped, because too many were pending for a client that did not read.
 * - `epoch_changed`: the cursor comes from another process.
 * - `mismatch`: the cursor does not match the history.
 * - `not_authorised`: the client may receive new messages of the channel, but none from before it subscribed.
 */
export const GAP_CAUSES = ['trimmed', 'overflow', 'epoch_changed', 'mismatch', 'not_authorised'] as const
export type GapCause = (typeof GAP_CAUSES)[number]

/**
 * How a subscription starts: without a cursor, with all messages after the cursor, or with the current state because
 * some of those messages are missing.
 */
export const SUBSCRIPTION_OUTCOMES = ['fresh', 'resumed', 'gap'] as const
export type SubscriptionOutcome = (typeof SUBSCRIPTION_OUTCOMES)[number]

/** Offsets of the first and the last missing message. */
const GapRange = Type.Object({
  epoch: Type.String(),
  from: Type.Integer({ minimum: 1 }),
  to: Type.Integer({ minimum: 1 })
})

/** The state of a channel at a cursor. `checksum` covers the active missions that match the filter. */
export const AsOf = Type.Object({
  ...Cursor.properties,
  checksum: Type.Optional(Type.String({ pattern: '^[0-9]+-[0-9a-f]{8}$' }))
})
export type AsOf = Static<typeof AsOf>

/**
 * How a client catches up: the next `messages` messages of the channel bring it to the state of `asOf`, newer messages
 * come after them. They are the messages after its cursor (`resumed`), or the current state (`fresh` and `gap`) with
 * `snapshot: true` in each: the active missions, and the endings that the client may have missed.
 */
const catchUp = {
  asOf: Type.Optional(AsOf),
  messages: Type.Optional(Type.Integer({ minimum: 0 }))
}

/** `outcome` and the fields after it are present for a new subscription. Subscribing twice changes nothing. */
const SubscriptionAck = Type.Object({
  channel: oneOf(CHANNEL_NAMES),
  status: oneOf(['subscribed', 'unsubscribed']),
  outcome: Type.Optional(oneOf(SUBSCRIPTION_OUTCOMES)),
  gap: Type.Optional(Type.Object({ cause: oneOf(GAP_CAUSES), range: Type.Optional(GapRange) })),
  ...catchUp
})

/** Messages of a channel are missing, because the client read too slowly. The current state of the channel follows. */
const SubscriptionGap = Type.Object({
  channel: oneOf(CHANNEL_NAMES),
  cause: oneOf(GAP_CAUSES),
  range: Type.Optional(GapRange),
  ...catchUp
})

/**
 * The service is about to close this connection. `retryAfterMs` differs between clients, so that they do not all
 * reconnect at once.
 */
const ServerDraining = Type.Object({ retryAfterMs: Type.Integer({ minimum: 0 }) })

/**
 * The principal of the connection expires in this time. A client that sends `auth_refresh` with a new token before then
 * stays connected.
 */
const AuthExpiring = Type.Object({ inMs: Type.Integer({ minimum: 0 }) })

/** The new token was accepted; `expiresInMs` is the time until it expires, if it does. */
const AuthRefreshed = Type.Object({ expiresInMs: Type.Optional(Type.Integer({ minimum: 0 })) })

/** The client may not receive this channel any more; it is no longer subscribed. */
const SubscriptionRevoked = Type.Object({ channel: oneOf(CHANNEL_NAMES) })

/**
 * `server` is the name of the service. `channels` are the channels that the client may subscribe to, and `capabilities`
 * the commands that it may send. `limits` apply to messages from the client. `startSchema` is the JSON Schema of the
 * params of `/mission {json}`, if the service has one of at most 8 KiB and the client may start missions.
 * `cancelGraceMs` is the time that work may take to end after a cancel, if the client may cancel missions.
 */
const WhoAmI = Type.Object({
  server: Type.String(),
  version: Type.String(),
  channels: Type.Array(oneOf(CHANNEL_NAMES)),
  capabilities: Type.Array(Type.String()),
  limits: Type.Object({
    maxPayloadBytes: Type.Integer({ minimum: 1 }),
    maxMessagesPerSecond: Type.Integer({ minimum: 1 })
  }),
  startSchema: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  cancelGraceMs: Type.Optional(Type.Integer({ minimum: 1 }))
})

/** The latest alerts that the client may see, firing and resolved, newest first. */
const AnomalyHistory = Type.Object({ alerts: Type.Array(Anomaly, { maxItems: MAX_ALERT_HISTORY }) })

/**
 * `heads` are the last positions of the subscribed channels; everything up to them was sent before the heartbeat.
 * `intervalMs` is the time until the next heartbeat.
 */
const Heartbeat = Type.Object({
  ...common,
  type: Type.Literal('heartbeat'),
  replyTo,
  intervalMs: Type.Optional(Type.Integer({ minimum: 1 })),
  heads: Type.Optional(Type.Object(cursorByChannel()))
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
  anomaly_history: withPayload('anomaly_history', AnomalyHistory),
  mission_list: withPayload('mission_list', MissionPage),
  subscription_gap: withPayload('subscription_gap', SubscriptionGap),
  server_draining: withPayload('server_draining', ServerDraining),
  auth_expiring: withPayload('auth_expiring', AuthExpiring),
  auth_refreshed: withPayload('auth_refreshed', AuthRefreshed),
  subscription_revoked: withPayload('subscription_revoked', SubscriptionRevoked),
  heartbeat: Heartbeat,
  pong: bare('pong'),
  whoami: withPayload('whoami', WhoAmI),
  protocol_error: withError('protocol_error', ProtocolError)
} as const

export type ServerMessageType = keyof typeof SERVER_MESSAGES
export type ServerMessages = { [Type in ServerMessageType]: Static<(typeof SERVER_MESSAGES)[Type]> }
export type ServerMessage = ServerMessages[ServerMessageType]
