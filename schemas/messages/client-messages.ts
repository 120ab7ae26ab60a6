import { Type, type Static, type TOptional } from '@sinclair/typebox'
import { LOGGED_CHANNELS, type LoggedChannel } from '../channels/index.js'
import { SubscriptionFilter } from '../filter.js'
import { MissionId } from '../mission.js'
import { Cursor } from './envelope.js'

/** Most channel names that one message may hold. */
export const MAX_CHANNELS_PER_MESSAGE = 64

const id = Type.Optional(Type.String({ maxLength: 128 }))
const channels = Type.Array(Type.String(), { minItems: 1, maxItems: MAX_CHANNELS_PER_MESSAGE })
const strict = { additionalProperties: false }

/** Where a client left each channel; the service sends what came after it. */
const since = Type.Object(Object.fromEntries(LOGGED_CHANNELS.map((name) => [name, Type.Optional(Cursor)])) as Record<LoggedChannel, TOptional<typeof Cursor>>, strict)

/**
 * What a client may send, by `type`. `id` comes back as `replyTo`; any property not named here makes a message invalid.
 *
 * `subscribe`: `since` asks for what came after a cursor, for channels that are in `channels` too; `filter` narrows `mission_update`, which must
 * be in `channels` then; `snapshot: true` asks for the present state also where nothing is missing, for a client that kept its cursor alone.
 */
export const CLIENT_MESSAGES = {
  subscribe: Type.Object({
    type: Type.Literal('subscribe'),
    id,
    channels,
    since: Type.Optional(since),
    filter: Type.Optional(SubscriptionFilter),
    snapshot: Type.Optional(Type.Boolean())
  }, strict),
  unsubscribe: Type.Object({ type: Type.Literal('unsubscribe'), id, channels }, strict),
  ping: Type.Object({ type: Type.Literal('ping'), id }, strict),
  whoami: Type.Object({ type: Type.Literal('whoami'), id }, strict),
  mission_start: Type.Object({ type: Type.Literal('mission_start'), id, command: Type.String({ minLength: 1 }) }, strict),
  mission_cancel: Type.Object({ type: Type.Literal('mission_cancel'), id, missionId: MissionId }, strict),
  mission_get: Type.Object({ type: Type.Literal('mission_get'), id, missionId: MissionId }, strict)
} as const

export type ClientMessageType = keyof typeof CLIENT_MESSAGES
export type ClientMessages = { [Type in ClientMessageType]: Static<(typeof CLIENT_MESSAGES)[Type]> }
export type ClientMessage = ClientMessages[ClientMessageType]
