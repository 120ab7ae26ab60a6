import type { TSchema } from '@sinclair/typebox'
import { CHANNEL_NAMES, CHANNEL_PAYLOADS } from '../../schemas/channels/index.js'
import { SubscriptionFilter } from '../../schemas/filter.js'
import { HealthComponent, HealthSnapshot } from '../../schemas/health.js'
import { CLIENT_MESSAGES, type ClientMessageType } from '../../schemas/messages/client-messages.js'
import { CLOSE_CODES } from '../../schemas/messages/close-codes.js'
import { Cursor, StreamPosition, PROTOCOL_VERSION, ServerIdentity } from '../../schemas/messages/envelope.js'
import { PROTOCOL_ERRORS, SERVER_MESSAGES, SUBSCRIPTION_ERRORS, type ServerMessageType } from '../../schemas/messages/server-messages.js'
import { CancelState, MissionError, Progress } from '../../schemas/mission.js'
import { CLIENT_MESSAGE_TEXTS, PAYLOAD_TEXTS, SERVER_MESSAGE_TEXTS } from './descriptions.js'
import { pascal, referencesTo, toJsonSchema } from './json-schema.js'
import { REPLIES, UNASKED } from './replies.js'

/** What differs from service to service: `address` is the path of its WebSocket route, the prefix included. */
export interface AsyncApiDeps { address: string, server: ServerIdentity }

export type AsyncApiDocument = Record<string, unknown> & { asyncapi: '3.0.0' }

const CHANNEL = 'missionControl'

/** Parts of messages that get a type of their own, and what each is. */
const PARTS: Readonly<Record<string, { schema: TSchema, text: string }>> = {
  ServerIdentity: { schema: ServerIdentity, text: 'Name and version of the service.' },
  Position: { schema: StreamPosition, text: 'The place of a message that must arrive: offsets count from 1 without a hole within a channel and an epoch.' },
  Cursor: { schema: Cursor, text: 'How far a client is in a channel: position and id of the last message that it has. Offset 0 with an empty id is the place before the first.' },
  SubscriptionFilter: { schema: SubscriptionFilter, text: 'Which missions to hear of: those that fit every condition that is there, and of each condition one value.' },
  Progress: { schema: Progress, text: 'How far one task is; `index` counts from 1 up to `total`.' },
  MissionError: { schema: MissionError, text: 'Why a mission failed: a code for programs, a text for people.' },
  CancelState: { schema: CancelState, text: 'A request to cancel; `forced` is there when the mission did not end by itself in time.' },
  HealthSnapshot: { schema: HealthSnapshot, text: 'The last known health; `checkedAt` in ms since 1970.' },
  HealthComponent: { schema: HealthComponent, text: 'One component; `error` is a code, never the text of an exception.' },
  ...Object.fromEntries(CHANNEL_NAMES.map((name) => [`${pascal(name)}Payload`, { schema: CHANNEL_PAYLOADS[name], text: PAYLOAD_TEXTS[name] }]))
}

const CLIENT_TYPES = Object.keys(CLIENT_MESSAGES) as ClientMessageType[]
const SERVER_TYPES = Object.keys(SERVER_MESSAGES) as ServerMessageType[]

// Both sides have a `whoami`.
const requestName = (type: ClientMessageType): string => `${pascal(type)}Request`
const messageName = (type: ServerMessageType): string => `${pascal(type)}Message`

/**
 * The AsyncAPI 3.0.0 document of the WebSocket route, seen from the service: what it receives with what it answers, and what it sends unasked.
 * Made from the same schemas that the service checks with. Plain data, and always the same for the same setup.
 */
export function createAsyncApi ({ address, server }: AsyncApiDeps): AsyncApiDocument {
  return {
    asyncapi: '3.0.0',
    info: {
      title: server.name,
      version: server.version,
      description: `Live telemetry of long-running work over one WebSocket: a JSON object a message. Version ${PROTOCOL_VERSION} of the protocol; fields, message types, channels and codes may be added to it, so ignore what you do not know.`
    },
    defaultContentType: 'application/json',
    channels: { [CHANNEL]: channel(address) },
    operations: { ...receiveOperations(), ...sendOperations() },
    components: { messages: messages(), schemas: schemas() }
  }
}

function channel (address: string) {
  return {
    address,
    title: 'The WebSocket route',
    description: 'All messages of both sides go over one connection. A client may send text or binary frames, the service sends text frames.',
    messages: Object.fromEntries([...CLIENT_TYPES.map(requestName), ...SERVER_TYPES.map(messageName)].map((name) => [name, { $ref: `#/components/messages/${name}` }])),
    bindings: { ws: { method: 'GET', bindingVersion: '0.1.0' } },
    'x-close-codes': Object.entries(CLOSE_CODES).map(([reason, { code, reconnect, meaning }]) => ({ code, reason, reconnect, meaning })),
    'x-protocol-errors': PROTOCOL_ERRORS,
    'x-subscription-errors': SUBSCRIPTION_ERRORS
  }
}

const reference = { $ref: `#/channels/${CHANNEL}` }
const inChannel = (name: string) => ({ $ref: `#/channels/${CHANNEL}/messages/${name}` })

function receiveOperations () {
  return Object.fromEntries(CLIENT_TYPES.map((type) => [`receive${pascal(type)}`, {
    action: 'receive',
    channel: reference,
    summary: CLIENT_MESSAGE_TEXTS[type],
    messages: [inChannel(requestName(type))],
    reply: { channel: reference, messages: REPLIES[type].map((reply) => inChannel(messageName(reply))) }
  }]))
}

function sendOperations () {
  return Object.fromEntries(UNASKED.map((type) => [`send${pascal(type)}`, {
    action: 'send',
    channel: reference,
    summary: SERVER_MESSAGE_TEXTS[type],
    messages: [inChannel(messageName(type))]
  }]))
}

function messages () {
  return Object.fromEntries([
    ...CLIENT_TYPES.map((type) => [requestName(type), message(type, requestName(type), CLIENT_MESSAGE_TEXTS[type], 'id')]),
    ...SERVER_TYPES.map((type) => [messageName(type), message(type, messageName(type), SERVER_MESSAGE_TEXTS[type], 'replyTo')])
  ])
}

function message (type: string, name: string, text: string, correlation: string) {
  return {
    name: type,
    title: name,
    summary: text,
    correlationId: { description: 'A reply has the `id` of what it answers as `replyTo`.', location: `$message.payload#/${correlation}` },
    payload: { $ref: `#/components/schemas/${name}` }
  }
}

function schemas () {
  const references = referencesTo(Object.fromEntries(Object.entries(PARTS).map(([name, { schema }]) => [name, schema])), '#/components/schemas')
  const described = (name: string, schema: TSchema, text: string) => [name, { title: name, description: text, ...toJsonSchema(schema, references) }]
  return Object.fromEntries([
    ...CLIENT_TYPES.map((type) => described(requestName(type), CLIENT_MESSAGES[type], CLIENT_MESSAGE_TEXTS[type])),
    ...SERVER_TYPES.map((type) => described(messageName(type), SERVER_MESSAGES[type], SERVER_MESSAGE_TEXTS[type])),
    ...Object.entries(PARTS).map(([name, { schema, text }]) => described(name, schema, text))
  ])
}
