import { LOGGED_CHANNELS } from '../../../schemas/channels/index.js'
import type { Connection } from './connection.js'
import type { Envelope } from '../wire/envelope.js'
import type { MessageLog } from '../history/message-log.js'
import type { Message } from '../wire/message.js'

export interface HeartbeatDeps {
  envelope: Envelope
  log: MessageLog
  /** Time between two heartbeats, in ms; part of the message. */
  intervalMs: number
}

/**
 * Sends a heartbeat to every client, with the last position of each logged channel that the client is subscribed to.
 * The heartbeat queues behind the messages up to these positions, so a client that receives it can tell whether one
 * was lost. Clients with the same subscriptions share one message.
 */
export class Heartbeat {
  readonly #deps: HeartbeatDeps

  constructor (deps: HeartbeatDeps) {
    this.#deps = deps
  }

  beat (connections: Iterable<Connection>): void {
    const messages = new Map<string, Message>()
    for (const { subscriptions, outbox } of connections) {
      const channels = LOGGED_CHANNELS.filter((name) => subscriptions.has(name))
      const key = channels.join(' ')
      const message = messages.get(key) ?? this.#createMessage(channels)
      messages.set(key, message)
      outbox.send(message)
    }
  }

  #createMessage (channels: ReadonlyArray<(typeof LOGGED_CHANNELS)[number]>): Message {
    const { envelope, log, intervalMs } = this.#deps
    const heads = Object.fromEntries(channels.map((name) => [name, log.cursor(name)]))
    const body = { intervalMs, ...(channels.length > 0 && { heads }) }
    return envelope.message('heartbeat', body, { key: 'heartbeat' })
  }
}
