import { LOGGED_CHANNELS } from '../../../schemas/channels/index.js'
import type { Connection } from './connection.js'
import type { Envelope } from '../wire/envelope.js'
import type { MessageLog } from '../history/message-log.js'
import type { Message } from '../wire/message.js'

export interface HeartbeatDeps {
  envelope: Envelope
  log: MessageLog
  /** Time between two, in ms; clients are told. */
  intervalMs: number
}

/**
 * The sign of life to all clients, with the last position of each channel that one is subscribed to. It waits behind the messages up to these, so
 * that a client that has it knows whether one was lost. One message for all who are subscribed to the same.
 */
export class Heartbeat {
  readonly #deps: HeartbeatDeps

  constructor (setup: HeartbeatDeps) {
    this.#deps = setup
  }

  beat (connections: Iterable<Connection>): void {
    const messages = new Map<string, Message>()
    for (const { subscriptions, outbox } of connections) {
      const channels = LOGGED_CHANNELS.filter((name) => subscriptions.has(name))
      const key = channels.join(' ')
      const message = messages.get(key) ?? this.#message(channels)
      messages.set(key, message)
      outbox.send(message)
    }
  }

  #message (channels: ReadonlyArray<(typeof LOGGED_CHANNELS)[number]>): Message {
    const { envelope, log, intervalMs } = this.#deps
    const heads = channels.length > 0 && { heads: Object.fromEntries(channels.map((name) => [name, log.cursor(name)])) }
    return envelope.message('heartbeat', { intervalMs, ...heads }, { traits: { key: 'heartbeat' } })
  }
}
