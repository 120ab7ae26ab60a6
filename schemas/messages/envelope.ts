import { Type, type Static, type TSchema } from '@sinclair/typebox'

/** Version of the wire. A server adds fields without changing it and takes none away. */
export const PROTOCOL_VERSION = 1

export const ServerIdentity = Type.Object({ name: Type.String(), version: Type.String() })
export type ServerIdentity = Static<typeof ServerIdentity>

/** Fields of every server message: `timestamp` is ISO 8601 in UTC with milliseconds, `unix` the same moment in ms since 1970. */
export const common = {
  protocolVersion: Type.Literal(PROTOCOL_VERSION),
  id: Type.String({ minLength: 1 }),
  timestamp: Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' }),
  unix: Type.Integer({ minimum: 0 }),
  server: ServerIdentity
}

/** The place of a message that must arrive: offsets count from 1 without a hole within the channel and this `epoch`. */
export const StreamPosition = Type.Object({ epoch: Type.String({ minLength: 1, maxLength: 64 }), offset: Type.Integer({ minimum: 1 }) })
export type StreamPosition = Static<typeof StreamPosition>

/**
 * How far a client is in a channel: the position and the message id of the last message that it has, or of the last one before it subscribed.
 * Offset 0 with an empty id is the place before the first message.
 */
export const Cursor = Type.Object({
  epoch: Type.String({ minLength: 1, maxLength: 64 }),
  offset: Type.Integer({ minimum: 0 }),
  id: Type.String({ maxLength: 128 })
}, { additionalProperties: false })
export type Cursor = Static<typeof Cursor>

export const replyTo = Type.Optional(Type.String({ maxLength: 128 }))

export const bare = <Name extends string>(type: Name) =>
  Type.Object({ ...common, type: Type.Literal(type), replyTo })

export const withPayload = <Name extends string, Payload extends TSchema>(type: Name, payload: Payload) =>
  Type.Object({ ...common, type: Type.Literal(type), replyTo, payload })

/** A message of a channel. `conflated` says how many older ones it stands for, because the client did not read in time. */
export const onChannel = <Name extends string, Payload extends TSchema>(type: Name, payload: Payload) =>
  Type.Object({
    ...common,
    type: Type.Literal(type),
    replyTo,
    payload,
    position: Type.Optional(StreamPosition),
    conflated: Type.Optional(Type.Integer({ minimum: 1 }))
  })

export const withError = <Name extends string, Failure extends TSchema>(type: Name, error: Failure) =>
  Type.Object({ ...common, type: Type.Literal(type), replyTo, error })
