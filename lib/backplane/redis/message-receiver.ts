import { callGuarded } from '../../base/promises.js'
import type { BackplaneContext } from '../contract.js'
import { RedisConnection } from './client/redis-connection.js'
import type { RedisClient } from './client/redis-client.js'

export interface MessageReceiverDeps {
  client: RedisClient
  context: BackplaneContext
}

/** Receives messages on a connection of its own, which accepts no other commands. */
export class MessageReceiver {
  readonly #connection: RedisConnection
  #channels: readonly string[] = []
  #isClosed = false

  constructor ({ client, context }: MessageReceiverDeps) {
    const { clock, onWarning } = context
    client.on('message', (_channel: string, text: string) => {
      if (!this.#isClosed) callGuarded(() => context.onMessage(text), onWarning)
    })
    this.#connection = new RedisConnection({ client, clock, onWarning, onReady: () => this.#resubscribe() })
  }

  /** Receives the messages of these channels and of no others. */
  async subscribe (channels: readonly string[]): Promise<void> {
    const former = this.#channels.filter((channel) => !channels.includes(channel))
    this.#channels = channels
    await this.#connection.call('subscribe', channels)
    if (former.length > 0) await this.#connection.call('unsubscribe', former)
  }

  /** Opens the connection again if it does not answer: a peer that is gone would not be noticed otherwise. */
  async ping (): Promise<void> {
    await this.#connection.call('ping', [])
  }

  close (): void {
    this.#isClosed = true
    this.#connection.close()
  }

  #resubscribe (): void {
    // If there is no answer, the connection is opened again, and this is called again.
    this.#connection.call('subscribe', this.#channels).catch(() => {})
  }
}
