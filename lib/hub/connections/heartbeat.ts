import { LOGGED_CHANNELS } from '../../../schemas/channels/index.js'
import type { Connection } from './connection.js'
import type { MessageEnvelope } from '../wire/envelope.js'
import type { MessageLog } from '../history/message-log.js'
import type { Message } from '../wire/message.js'

export interface HeartbeatDeps {
  envelope: MessageEnvelope
  /** The log of the channels that a connection is subscribed to. */
  logOf: (connection: Connection) => MessageLog
  /** Time between two heartbeats, in ms; part of the message. */
  intervalMs: number
}

/**
 * Sends a heartbeat to every client, with the last position of each logged channel that the client is subscribed to.
 * The heartbeat queues behind the messages up to these positions, so a client that receives it can tell whether one
 * was lost. Clients of one scope with the same subscriptions share one message.
 */
export class Heartbeat {
  readonly #deps: HeartbeatDeps

  constructor (deps: HeartbeatDeps) {
    this.#deps = deps
  }

  beat (connections: Iterable<Connection>): void {
    const messages = new Map<string, Message>()
    for (const connection of connections) {
      const { subscriptions, outbox } = connection
      const log = this.#deps.logOf(connection)
      const channels = LOGGED_CHANNELS.filter((name) => subscriptions.has(name))
      const key = channels.length === 0 ? '' : `${log.epoch} ${channels.join(' ')}`
      const message = messages.get(key) ?? this.#createMessage(log, channels)
      messages.set(key, message)
      outbox.send(message)
    }
  }

  #createMessage (log: MessageLog, channels: ReadonlyArray<(typeof LOGGED_CHANNELS)[number]>): Message {
    const { envelope, intervalMs } = this.#deps
    const heads = Object.fromEntries(channels.map((name) => [name, log.cursor(name)]))
    const body = { intervalMs, ...(channels.length > 0 && { heads }) }
    return envelope.message('heartbeat', body, { key: 'heartbeat' })
  }
}
