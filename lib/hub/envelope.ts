import { PROTOCOL_VERSION, type ServerIdentity } from '../../schemas/messages/envelope.js'
import type { ServerMessages, ServerMessageType } from '../../schemas/messages/server-messages.js'
import { createUnifiedId, createUnifiedTimestamp, type Clock } from '../clock.js'

type Body<Type extends ServerMessageType> = Omit<ServerMessages[Type], 'protocolVersion' | 'type' | 'id' | 'timestamp' | 'unix' | 'server' | 'replyTo'>

/** Puts messages into the envelope of the wire and encodes them; one call is one message with one id, whoever receives it. */
export class Envelope {
  readonly #clock: Clock
  readonly #server: ServerIdentity

  constructor (clock: Clock, server: ServerIdentity) {
    this.#clock = clock
    this.#server = { name: server.name, version: server.version }
  }

  encode<Type extends ServerMessageType> (type: Type, body: Body<Type>, replyTo?: string): Buffer {
    const { iso, unix } = createUnifiedTimestamp(this.#clock)
    return Buffer.from(JSON.stringify({
      protocolVersion: PROTOCOL_VERSION,
      type,
      id: createUnifiedId('message'),
      timestamp: iso,
      unix,
      server: this.#server,
      replyTo,
      ...body
    }))
  }
}
