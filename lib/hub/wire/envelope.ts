import { PROTOCOL_VERSION, type ServerIdentity } from '../../../schemas/messages/envelope.js'
import type { ServerMessages, ServerMessageType } from '../../../schemas/messages/server-messages.js'
import { createUnifiedId, type Clock } from '../../base/clock.js'
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
  /** The payload as JSON, if it is encoded already; the body has nothing else then. */
  payloadText?: string | undefined
}

/** Starts the part of a message that messages with the same content share. */
const BODY_START = '"payload":'

/** Wraps messages in the envelope of the protocol and encodes them. One call creates one message with one id. */
export class MessageEnvelope {
  readonly #clock: Clock
  readonly #serverText: string
  #time = { unix: NaN, iso: '' }

  constructor (clock: Clock, server: ServerIdentity) {
    this.#clock = clock
    this.#serverText = JSON.stringify({ name: server.name, version: server.version })
  }

  message<Type extends ServerMessageType> (
    type: Type, body: Body<Type>, options: MessageEnvelopeOptions = {}
  ): Message {
    const { replyTo, position, epoch, at, id = createUnifiedId('message'), payloadText } = options
    // The id may be from a log that others write too.
    let text = this.#start(type, options.id === undefined ? `"${id}"` : JSON.stringify(id), at)
    if (replyTo !== undefined) text += `,"replyTo":${JSON.stringify(replyTo)}`
    if (position !== undefined) text += `,"position":{"epoch":${JSON.stringify(epoch)},"offset":${position.offset}}`
    const end = payloadText === undefined ? JSON.stringify(body).slice(1) : `${BODY_START}${payloadText}}`
    const all = end === '}' ? `${text}}` : `${text},${end}`
    return new Message(all, options.id === undefined ? { ...options, id } : options)
  }

  /** Encodes a payload without creating a message. */
  body (payload: object, options: MessageBodyOptions): MessageBody {
    return new MessageBody(`${BODY_START}${JSON.stringify(payload)}}`, options)
  }

  /** Creates one more message with this body. */
  send (body: MessageBody): Message {
    const id = createUnifiedId('message')
    const options = { id, channel: body.channel, attributes: body.attributes }
    return new Message(`${this.#start(body.type, `"${id}"`)},`, options, body)
  }

  /** Creates another message with the content of a message that has a channel and no position. */
  repeat (message: Message): Message {
    const id = createUnifiedId('message')
    const text = message.text.toString()
    const options = { ...message, id, publishedMs: undefined }
    return new Message(`${this.#start(message.channel!, `"${id}"`)},${text.slice(text.indexOf(BODY_START))}`, options)
  }

  /** `id` is its JSON text. */
  #start (type: ServerMessageType, id: string, unix = this.#clock.now()): string {
    // Many messages have the time of one batch.
    if (unix !== this.#time.unix) this.#time = { unix, iso: new Date(unix).toISOString() }
    return `{"protocolVersion":${PROTOCOL_VERSION},"type":"${type}","id":${id},"timestamp":"${this.#time.iso}",` +
      `"unix":${unix},"server":${this.#serverText}`
  }
}
