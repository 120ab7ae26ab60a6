import { PROTOCOL_VERSION, type ServerIdentity } from '../../../schemas/messages/envelope.js'
import type { ServerMessages, ServerMessageType } from '../../../schemas/messages/server-messages.js'
import { createUnifiedId, createUnifiedTimestamp, type Clock } from '../../base/clock.js'
import { Message, type MessageOptions } from './message.js'

type EnvelopeKey =
  'protocolVersion' | 'type' | 'id' | 'timestamp' | 'unix' | 'server' | 'replyTo' | 'position' | 'conflated'

type Body<Type extends ServerMessageType> = Omit<ServerMessages[Type], EnvelopeKey>

export interface EnvelopeOptions extends Omit<MessageOptions, 'id'> {
  /** The id of the message of the client that this one answers. */
  replyTo?: string | undefined
  /** The epoch of the log; required for a message with a position. */
  epoch?: string
}

/** Wraps messages in the envelope of the protocol and encodes them. One call creates one message with one id. */
export class Envelope {
  readonly #clock: Clock
  readonly #server: ServerIdentity

  constructor (clock: Clock, server: ServerIdentity) {
    this.#clock = clock
    this.#server = { name: server.name, version: server.version }
  }

  message<Type extends ServerMessageType> (type: Type, body: Body<Type>, options: EnvelopeOptions = {}): Message {
    const { replyTo, position, epoch } = options
    const { iso, unix } = createUnifiedTimestamp(this.#clock)
    const id = createUnifiedId('message')
    return new Message(JSON.stringify({
      protocolVersion: PROTOCOL_VERSION,
      type,
      id,
      timestamp: iso,
      unix,
      server: this.#server,
      replyTo,
      position: position && { epoch, offset: position.offset },
      ...body
    }), { ...options, id })
  }
}
