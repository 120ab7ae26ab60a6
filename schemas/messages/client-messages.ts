import { Type, type Static } from '@sinclair/typebox'
import { MissionId } from '../mission.js'

/** Most channel names that one message may hold. */
export const MAX_CHANNELS_PER_MESSAGE = 64

const id = Type.Optional(Type.String({ maxLength: 128 }))
const channels = Type.Array(Type.String(), { minItems: 1, maxItems: MAX_CHANNELS_PER_MESSAGE })
const strict = { additionalProperties: false }

/** What a client may send, by `type`. `id` comes back as `replyTo`; any property not named here makes a message invalid. */
export const CLIENT_MESSAGES = {
  subscribe: Type.Object({ type: Type.Literal('subscribe'), id, channels }, strict),
  unsubscribe: Type.Object({ type: Type.Literal('unsubscribe'), id, channels }, strict),
  ping: Type.Object({ type: Type.Literal('ping'), id }, strict),
  whoami: Type.Object({ type: Type.Literal('whoami'), id }, strict),
  mission_start: Type.Object({ type: Type.Literal('mission_start'), id, command: Type.String({ minLength: 1 }) }, strict),
  mission_cancel: Type.Object({ type: Type.Literal('mission_cancel'), id, missionId: MissionId }, strict)
} as const

export type ClientMessageType = keyof typeof CLIENT_MESSAGES
export type ClientMessages = { [Type in ClientMessageType]: Static<(typeof CLIENT_MESSAGES)[Type]> }
export type ClientMessage = ClientMessages[ClientMessageType]
