import { Type, type Static, type TOptional, type TSchema } from '@sinclair/typebox'
import { LOGGED_CHANNELS, type LoggedChannel } from '../channels/index.js'

/** Version of the protocol. Fields may be added without a new version, but never removed. */
export const PROTOCOL_VERSION = 1

export const ServerIdentity = Type.Object({ name: Type.String(), version: Type.String() })
export type ServerIdentity = Static<typeof ServerIdentity>

/**
 * Fields of every server message. `timestamp` is ISO 8601 in UTC with milliseconds, `unix` the same time in ms since
 * 1970.
 */
export const common = {
  protocolVersion: Type.Literal(PROTOCOL_VERSION),
  id: Type.String({ minLength: 1 }),
  timestamp: Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' }),
  unix: Type.Integer({ minimum: 0 }),
  server: ServerIdentity
}

/** Position of a reliable message. Within one channel and one `epoch`, offsets count from 1 without gaps. */
export const StreamPosition = Type.Object({
  epoch: Type.String({ minLength: 1, maxLength: 64 }),
  offset: Type.Integer({ minimum: 1 })
})
export type StreamPosition = Static<typeof StreamPosition>

/**
 * How far a client has read a channel: position and id of the last message that it received, or of the last message
 * before it subscribed. Offset 0 with an empty id is the start, before the first message.
 */
export const Cursor = Type.Object({
  epoch: Type.String({ minLength: 1, maxLength: 64 }),
  offset: Type.Integer({ minimum: 0 }),
  id: Type.String({ maxLength: 128 })
}, { additionalProperties: false })
export type Cursor = Static<typeof Cursor>

type CursorByChannel = Record<LoggedChannel, TOptional<typeof Cursor>>

/** The properties of an object that has at most one cursor per channel with a history. */
export const cursorByChannel = (): CursorByChannel =>
  Object.fromEntries(LOGGED_CHANNELS.map((name) => [name, Type.Optional(Cursor)])) as CursorByChannel

export const replyTo = Type.Optional(Type.String({ maxLength: 128 }))

export const bare = <Name extends string>(type: Name) =>
  Type.Object({ ...common, type: Type.Literal(type), replyTo })

export const withPayload = <Name extends string, Payload extends TSchema>(type: Name, payload: Payload) =>
  Type.Object({ ...common, type: Type.Literal(type), replyTo, payload })

/** A message of a channel. `conflated` is the number of older messages that it replaced before the client read them. */
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
