import { PROTOCOL_VERSION, type ServerIdentity } from '../../../schemas/messages/envelope.js'
import type { ServerMessages, ServerMessageType } from '../../../schemas/messages/server-messages.js'
import { createUnifiedId, createUnifiedTimestamp, type Clock } from '../../base/clock.js'
import { Message, type MessageTraits } from './message.js'

type Body<Type extends ServerMessageType> = Omit<ServerMessages[Type], 'protocolVersion' | 'type' | 'id' | 'timestamp' | 'unix' | 'server' | 'replyTo' | 'position' | 'conflated'>

export interface MessageInput {
  replyTo?: string | undefined
  traits?: MessageTraits
  epoch?: string
}

/** Puts messages into the envelope of the wire and encodes them; one call is one message with one id, whoever receives it. */
export class Envelope {
  readonly #clock: Clock
  readonly #server: ServerIdentity

  constructor (clock: Clock, server: ServerIdentity) {
    this.#clock = clock
    this.#server = { name: server.name, version: server.version }
  }

  /** Encodes one message; `traits` say how it travels. A message with a place in the log has it on the wire, within this `epoch`. */
  message<Type extends ServerMessageType> (type: Type, body: Body<Type>, { replyTo, traits, epoch }: MessageInput = {}): Message {
    const { iso, unix } = createUnifiedTimestamp(this.#clock)
    const place = traits?.position
    const id = createUnifiedId('message')
    return new Message(JSON.stringify({
      protocolVersion: PROTOCOL_VERSION,
      type,
      id,
      timestamp: iso,
      unix,
      server: this.#server,
      replyTo,
      position: place && { epoch, offset: place.offset },
      ...body
    }), { ...traits, id })
  }
}
