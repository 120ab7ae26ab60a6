import type { ChannelName } from '../../../schemas/channels/index.js'
import type { Message } from '../wire/message.js'

/**
 * The last-value cache: the newest replaceable message per channel and key. A client that resumes gets these in
 * addition to the log, which holds reliable messages only.
 */
export class LatestValues {
  readonly #messages = new Map<ChannelName, Map<string, Message>>()

  set (channel: ChannelName, key: string, message: Message): void {
    const messages = this.#messages.get(channel) ?? new Map<string, Message>()
    this.#messages.set(channel, messages.set(key, message))
  }

  delete (channel: ChannelName, key: string): void {
    this.#messages.get(channel)?.delete(key)
  }

  of (channel: ChannelName): Iterable<Message> {
    return this.#messages.get(channel)?.values() ?? []
  }

  /** Drops all messages of a channel. */
  clear (channel: ChannelName): void {
    this.#messages.delete(channel)
  }
}
