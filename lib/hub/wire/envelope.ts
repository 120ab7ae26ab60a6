import { PROTOCOL_VERSION, type ServerIdentity } from '../../../schemas/messages/envelope.js'
import type { ServerMessages, ServerMessageType } from '../../../schemas/messages/server-messages.js'
import { createUnifiedId, createUnifiedTimestamp, type Clock } from '../../base/clock.js'
import { Message, MessageBody, type MessageBodyOptions, type MessageOptions } from './message.js'

type EnvelopeKey =
  'protocolVersion' | 'type' | 'id' | 'timestamp' | 'unix' | 'server' | 'replyTo' | 'position' | 'conflated'

type Body<Type extends ServerMessageType> = Omit<ServerMessages[Type], EnvelopeKey>

export interface MessageEnvelopeOptions extends MessageOptions {
  /** The id of the message of the client that this one answers. */
  replyTo?: string | undefined
  /** The epoch of the log; required for a message with a position. */
  epoch?: string
  /** When the message was published, in ms since 1970; now by default. */
  at?: number | undefined
}

/** Starts the part of a message that messages with the same content share. */
const BODY_START = '"payload":'

/** Wraps messages in the envelope of the protocol and encodes them. One call creates one message with one id. */
export class MessageEnvelope {
  readonly #clock: Clock
  readonly #server: ServerIdentity
  readonly #serverText: string

  constructor (clock: Clock, server: ServerIdentity) {
    this.#clock = clock
    this.#server = { name: server.name, version: server.version }
    this.#serverText = JSON.stringify(this.#server)
  }

  message<Type extends ServerMessageType> (
    type: Type, body: Body<Type>, options: MessageEnvelopeOptions = {}
  ): Message {
    const { replyTo, position, epoch, at: unix = this.#clock.now(), id = createUnifiedId('message') } = options
    return new Message(JSON.stringify({
      protocolVersion: PROTOCOL_VERSION,
      type,
      id,
      timestamp: new Date(unix).toISOString(),
      unix,
      server: this.#server,
      replyTo,
      position: position && { epoch, offset: position.offset },
      ...body
    }), { ...options, id })
  }

  /** Encodes a payload without creating a message. */
  body (payload: object, options: MessageBodyOptions): MessageBody {
    return new MessageBody(`${BODY_START}${JSON.stringify(payload)}}`, options)
  }

  /** Creates one more message with this body. */
  send (body: MessageBody): Message {
    const id = createUnifiedId('message')
    return new Message(this.#start(body.type, id), { id, channel: body.channel, attributes: body.attributes }, body)
  }

  /** Creates another message with the content of a message that has a channel and no position. */
  repeat (message: Message): Message {
    const id = createUnifiedId('message')
    const text = message.text.toString()
    const options = { ...message, id, publishedMs: undefined }
    return new Message(this.#start(message.channel!, id) + text.slice(text.indexOf(BODY_START)), options)
  }

  #start (type: ServerMessageType, id: string): string {
    const { iso, unix } = createUnifiedTimestamp(this.#clock)
    return `{"protocolVersion":${PROTOCOL_VERSION},"type":"${type}","id":"${id}","timestamp":"${iso}","unix":${unix},` +
      `"server":${this.#serverText},`
  }
}
