import type { TSchema } from '@sinclair/typebox'
import { CHANNEL_NAMES, CHANNEL_PAYLOADS } from '../../schemas/channels/index.js'
import { SubscriptionFilter } from '../../schemas/filter.js'
import { HealthComponent, HealthSnapshot } from '../../schemas/health.js'
import { CLIENT_MESSAGES, type ClientMessageType } from '../../schemas/messages/client-messages.js'
import { CLOSE_CODES } from '../../schemas/messages/close-codes.js'
import { Cursor, StreamPosition, PROTOCOL_VERSION, ServerIdentity } from '../../schemas/messages/envelope.js'
import {
  PROTOCOL_ERRORS, SERVER_MESSAGES, SUBSCRIPTION_ERRORS, type ServerMessageType
} from '../../schemas/messages/server-messages.js'
import { CancelState, MissionError, Progress } from '../../schemas/mission.js'
import { CLIENT_MESSAGE_TEXTS, PAYLOAD_TEXTS, SERVER_MESSAGE_TEXTS } from './descriptions.js'
import { pascal, referencesTo, toJsonSchema } from './json-schema.js'
import { REPLIES, UNSOLICITED } from './replies.js'

/** `address` is the path of the WebSocket route, including the prefix. */
export interface AsyncApiDeps { address: string, server: ServerIdentity }

export type AsyncApiDocument = Record<string, unknown> & { asyncapi: '3.0.0' }

const CHANNEL = 'missionControl'

const DESCRIPTION = 'Live telemetry of long-running work over one WebSocket. Each message is one JSON object. ' +
  `This is version ${PROTOCOL_VERSION} of the protocol. ` +
  'Fields, message types, channels and codes may be added to it, so ignore those that you do not know.'

/** Parts of messages that become schemas of their own, with their descriptions. */
const NAMED_SCHEMAS: Readonly<Record<string, { schema: TSchema, text: string }>> = {
  ServerIdentity: { schema: ServerIdentity, text: 'Name and version of the service.' },
  Position: {
    schema: StreamPosition,
    text: 'Position of a reliable message. Within one channel and one epoch, offsets count from 1 without gaps.'
  },
  Cursor: {
    schema: Cursor,
    text: 'How far a client has read a channel: position and id of the last message that it received. Offset 0 with ' +
      'an empty id is the start, before the first message.'
  },
  SubscriptionFilter: {
    schema: SubscriptionFilter,
    text: 'Selects missions. A mission must match every given condition, and one value of each.'
  },
  Progress: { schema: Progress, text: 'Progress of one task; `index` counts from 1 up to `total`.' },
  MissionError: { schema: MissionError, text: 'Why a mission failed: a code for programs, a text for people.' },
  CancelState: {
    schema: CancelState,
    text: 'A cancel request; `forced` is present if the mission did not end within the grace period.'
  },
  HealthSnapshot: { schema: HealthSnapshot, text: 'The last known health; `checkedAt` is in ms since 1970.' },
  HealthComponent: {
    schema: HealthComponent,
    text: 'The health of one component; `error` is a code, never the message of an exception.'
  },
  ...Object.fromEntries(CHANNEL_NAMES.map((name) =>
    [`${pascal(name)}Payload`, { schema: CHANNEL_PAYLOADS[name], text: PAYLOAD_TEXTS[name] }]))
}

const CLIENT_TYPES = Object.keys(CLIENT_MESSAGES) as ClientMessageType[]
const SERVER_TYPES = Object.keys(SERVER_MESSAGES) as ServerMessageType[]

// The suffixes keep the two messages called `whoami` apart.
const requestName = (type: ClientMessageType): string => `${pascal(type)}Request`
const messageName = (type: ServerMessageType): string => `${pascal(type)}Message`

/**
 * The AsyncAPI 3.0.0 document of the WebSocket route, from the point of view of the service: the messages it receives
 * with their replies, and its unsolicited messages. It is generated from the schemas that the service validates with.
 * Plain data, and always equal for equal arguments.
 */
export function createAsyncApi ({ address, server }: AsyncApiDeps): AsyncApiDocument {
  return {
    asyncapi: '3.0.0',
    info: {
      title: server.name,
      version: server.version,
      description: DESCRIPTION
    },
    defaultContentType: 'application/json',
    channels: { [CHANNEL]: channel(address) },
    operations: { ...receiveOperations(), ...sendOperations() },
    components: { messages: messages(), schemas: schemas() }
  }
}

function channel (address: string) {
  const names = [...CLIENT_TYPES.map(requestName), ...SERVER_TYPES.map(messageName)]
  const closeCodes = Object.entries(CLOSE_CODES)
  return {
    address,
    title: 'The WebSocket route',
    description: 'Both sides send all messages over one connection. A client may send text or binary frames; the ' +
      'service sends text frames.',
    messages: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/messages/${name}` }])),
    bindings: { ws: { method: 'GET', bindingVersion: '0.1.0' } },
    'x-close-codes': closeCodes.map(([reason, { code, reconnect, meaning }]) => ({ code, reason, reconnect, meaning })),
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
  return Object.fromEntries(UNSOLICITED.map((type) => [`send${pascal(type)}`, {
    action: 'send',
    channel: reference,
    summary: SERVER_MESSAGE_TEXTS[type],
    messages: [inChannel(messageName(type))]
  }]))
}

function messages () {
  const requests = CLIENT_TYPES.map((type) => message(type, requestName(type), CLIENT_MESSAGE_TEXTS[type], 'id'))
  const sent = SERVER_TYPES.map((type) => message(type, messageName(type), SERVER_MESSAGE_TEXTS[type], 'replyTo'))
  return Object.fromEntries([...requests, ...sent].map((one) => [one.title, one]))
}

function message (type: string, name: string, text: string, correlation: string) {
  return {
    name: type,
    title: name,
    summary: text,
    correlationId: {
      description: 'A reply carries the `id` of its request as `replyTo`.',
      location: `$message.payload#/${correlation}`
    },
    payload: { $ref: `#/components/schemas/${name}` }
  }
}

function schemas () {
  const parts = Object.fromEntries(Object.entries(NAMED_SCHEMAS).map(([name, { schema }]) => [name, schema]))
  const references = referencesTo(parts, '#/components/schemas')
  const describe = (title: string, schema: TSchema, description: string) =>
    ({ title, description, ...toJsonSchema(schema, references) })
  return Object.fromEntries([
    ...CLIENT_TYPES.map((type) => describe(requestName(type), CLIENT_MESSAGES[type], CLIENT_MESSAGE_TEXTS[type])),
    ...SERVER_TYPES.map((type) => describe(messageName(type), SERVER_MESSAGES[type], SERVER_MESSAGE_TEXTS[type])),
    ...Object.entries(NAMED_SCHEMAS).map(([name, { schema, text }]) => describe(name, schema, text))
  ].map((one) => [one.title, one]))
}
