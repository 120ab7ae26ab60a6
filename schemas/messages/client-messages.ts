import { Type, type Static } from '@sinclair/typebox'
import { MAX_ALERT_HISTORY } from '../anomaly.js'
import { SubscriptionFilter } from '../filter.js'
import { LATENCY_PARTS } from '../metrics.js'
import { MissionId, MissionQuery } from '../mission.js'
import { cursorByChannel } from './envelope.js'

/** Maximum number of channel names in one message. */
export const MAX_CHANNELS_PER_MESSAGE = 64

const id = Type.Optional(Type.String({ maxLength: 128 }))
const channels = Type.Array(Type.String(), { minItems: 1, maxItems: MAX_CHANNELS_PER_MESSAGE })
const strict = { additionalProperties: false }

/** The client's last cursor in each channel; the service sends the messages after it. */
const since = Type.Object(cursorByChannel(), strict)

/**
 * The messages a client may send, by `type`. The reply carries `id` as `replyTo`. A property that is not listed here
 * makes the message invalid.
 *
 * The fields of `subscribe`: `since` requests the messages after a cursor, for channels that `channels` lists too.
 * `filter` and `endings` apply to `mission_update`, which `channels` must list then: `endings` is the number of
 * newest endings that a client without a cursor receives. `snapshot: true` requests the current state
 * even if nothing was missed, for a client that stored only its cursor. `latency` requests additional content of
 * `metrics_tick`, which `channels` must list then.
 *
 * The `reason` of `mission_cancel` is cut to 256 characters and shown to everyone who sees the mission.
 */
export const CLIENT_MESSAGES = {
  subscribe: Type.Object({
    type: Type.Literal('subscribe'),
    id,
    channels,
    since: Type.Optional(since),
    filter: Type.Optional(SubscriptionFilter),
    endings: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000 })),
    snapshot: Type.Optional(Type.Boolean()),
    latency: Type.Optional(Type.Array(Type.Union(LATENCY_PARTS.map((part) => Type.Literal(part))), {
      minItems: 1, maxItems: LATENCY_PARTS.length
    }))
  }, strict),
  unsubscribe: Type.Object({ type: Type.Literal('unsubscribe'), id, channels }, strict),
  ping: Type.Object({ type: Type.Literal('ping'), id }, strict),
  whoami: Type.Object({ type: Type.Literal('whoami'), id }, strict),
  mission_start: Type.Object({
    type: Type.Literal('mission_start'),
    id,
    command: Type.String({ minLength: 1 })
  }, strict),
  mission_cancel: Type.Object({
    type: Type.Literal('mission_cancel'),
    id,
    missionId: MissionId,
    reason: Type.Optional(Type.String())
  }, strict),
  mission_get: Type.Object({ type: Type.Literal('mission_get'), id, missionId: MissionId }, strict),
  anomaly_history: Type.Object({
    type: Type.Literal('anomaly_history'),
    id,
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_ALERT_HISTORY }))
  }, strict),
  mission_list: Type.Object({ type: Type.Literal('mission_list'), id, query: Type.Optional(MissionQuery) }, strict),
  auth_refresh: Type.Object({
    type: Type.Literal('auth_refresh'),
    id,
    token: Type.String({ minLength: 1, maxLength: 8_192 })
  }, strict)
} as const

export type ClientMessageType = keyof typeof CLIENT_MESSAGES
export type ClientMessages = { [Type in ClientMessageType]: Static<(typeof CLIENT_MESSAGES)[Type]> }
export type ClientMessage = ClientMessages[ClientMessageType]
