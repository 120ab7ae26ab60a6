import type { ChannelName } from '../../../schemas/channels/index.js'
import type { LoggedMessage, Message } from '../wire/message.js'

interface Slot { message: Message, conflated: number }

/**
 * The queues of one slow connection: control messages (replies and snapshots), reliable messages, and the newest
 * replaceable message per key, ordered by the time at which the key was first queued. Holds references to messages that
 * other connections share, never copies.
 */
export class MessageQueues {
  readonly #control: Message[] = []
  readonly #reliable: LoggedMessage[] = []
  readonly #replaceable = new Map<string, Slot>()
  #controlBytes = 0
  #reliableBytes = 0
  #replaceableBytes = 0

  get bytes (): number { return this.#controlBytes + this.#reliableBytes + this.#replaceableBytes }

  get controlBytes (): number { return this.#controlBytes }

  get reliableBytes (): number { return this.#reliableBytes }

  get replaceableBytes (): number { return this.#replaceableBytes }

  /** The number of queued messages. */
  get count (): number { return this.#control.length + this.#reliable.length + this.#replaceable.size }

  /** The queued reliable messages, oldest first. */
  get reliable (): readonly LoggedMessage[] { return this.#reliable }

  pushControl (message: Message): void {
    this.#control.push(message)
    this.#controlBytes += message.bytes
  }

  pushReliable (message: LoggedMessage): void {
    this.#reliable.push(message)
    this.#reliableBytes += message.bytes
  }

  /** Queues a message in place of the one with the same key. Returns whether there was one. */
  replace (key: string, message: Message): boolean {
    const slot = this.#replaceable.get(key)
    this.#replaceableBytes += message.bytes - (slot?.message.bytes ?? 0)
    if (slot === undefined) {
      this.#replaceable.set(key, { message, conflated: 0 })
      return false
    }
    slot.message = message
    slot.conflated++
    return true
  }

  /** Drops the message with this key. Returns whether there was one. */
  dropReplaceableKey (key: string): boolean {
    const slot = this.#replaceable.get(key)
    if (slot === undefined) return false
    this.#replaceable.delete(key)
    this.#replaceableBytes -= slot.message.bytes
    return true
  }

  /** Drops all messages of a channel; replies belong to none. Returns the number of replaceable ones. */
  dropChannel (channel: ChannelName): number {
    const reliable = this.#reliable.filter((message) => message.channel !== channel)
    this.dropReliable()
    for (const message of reliable) this.pushReliable(message)
    this.dropSnapshot(channel)
    return this.dropReplaceableOf(channel)
  }

  /** Drops the reliable and the replaceable messages that are not to be kept. */
  keepOnly (isKept: (message: Message) => boolean): void {
    const reliable = this.#reliable.filter(isKept)
    this.dropReliable()
    for (const message of reliable) this.pushReliable(message)
    for (const [key, { message }] of this.#replaceable) if (!isKept(message)) this.dropReplaceableKey(key)
  }

  /** Drops the messages of snapshots of a channel. Returns whether there were any. */
  dropSnapshot (channel: ChannelName): boolean {
    const control = this.#control.filter((message) => message.channel !== channel)
    const hasDropped = control.length < this.#control.length
    this.#control.length = this.#controlBytes = 0
    for (const message of control) this.pushControl(message)
    return hasDropped
  }

  /** Drops the replaceable messages of a channel. Returns their number. */
  dropReplaceableOf (channel: ChannelName): number {
    let dropped = 0
    for (const [key, { message }] of this.#replaceable) {
      if (message.channel !== channel) continue
      this.dropReplaceableKey(key)
      dropped++
    }
    return dropped
  }

  dropReliable (): void {
    this.#reliable.length = this.#reliableBytes = 0
  }

  /** Drops all replaceable messages. Returns their channels. */
  dropReplaceable (): Set<ChannelName> {
    const channels = new Set<ChannelName>()
    for (const { message } of this.#replaceable.values()) {
      if (message.channel !== undefined) channels.add(message.channel)
    }
    this.#replaceable.clear()
    this.#replaceableBytes = 0
    return channels
  }

  takeControl (): Message | undefined {
    const message = this.#control.shift()
    if (message !== undefined) this.#controlBytes -= message.bytes
    return message
  }

  takeReliable (): Message | undefined {
    const message = this.#reliable.shift()
    if (message !== undefined) this.#reliableBytes -= message.bytes
    return message
  }

  /** Takes the next replaceable message, which says how many older ones it replaced. */
  takeReplaceable (): Message | undefined {
    const first = this.#replaceable.entries().next()
    if (first.done === true) return undefined
    const [key, { message, conflated }] = first.value
    this.dropReplaceableKey(key)
    return conflated === 0 ? message : message.conflated(conflated)
  }
}
