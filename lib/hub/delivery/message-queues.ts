import type { ChannelName } from '../../../schemas/channels/index.js'
import type { Message } from '../wire/message.js'

interface Slot { message: Message, conflated: number }

/**
 * What waits for one connection that does not keep up, in the order in which it will be sent: replies and snapshots, then messages
 * that must arrive in their order, then of each replaceable kind the newest, by the time the kind first waited. Holds references
 * to messages that others share, never copies.
 */
export class MessageQueues {
  readonly #control: Message[] = []
  readonly #reliable: Message[] = []
  readonly #replaceable = new Map<string, Slot>()
  #controlBytes = 0
  #reliableBytes = 0
  #replaceableBytes = 0

  get bytes (): number { return this.#controlBytes + this.#reliableBytes + this.#replaceableBytes }

  get controlBytes (): number { return this.#controlBytes }

  get reliableBytes (): number { return this.#reliableBytes }

  /** How many messages wait. */
  get count (): number { return this.#control.length + this.#reliable.length + this.#replaceable.size }

  get replaceableBytes (): number { return this.#replaceableBytes }

  /** The messages that must arrive, the oldest first. */
  get reliable (): readonly Message[] { return this.#reliable }

  pushControl (message: Message): void {
    this.#control.push(message)
    this.#controlBytes += message.bytes
  }

  pushReliable (message: Message): void {
    this.#reliable.push(message)
    this.#reliableBytes += message.bytes
  }

  /** Puts a message in the place of the one that waits under its key. Gives whether there was one. */
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

  /** Drops what waits under a key. Gives whether there was something. */
  dropReplaceableKey (key: string): boolean {
    const slot = this.#replaceable.get(key)
    if (slot === undefined) return false
    this.#replaceable.delete(key)
    this.#replaceableBytes -= slot.message.bytes
    return true
  }

  /** Drops all that waits of a channel but replies. Gives how many replaceable messages there were. */
  dropChannel (channel: ChannelName): number {
    const rest = this.#reliable.filter((message) => message.channel !== channel)
    const control = this.#control.filter((message) => message.channel !== channel)
    this.dropReliable()
    for (const message of rest) this.pushReliable(message)
    this.#control.length = this.#controlBytes = 0
    for (const message of control) this.pushControl(message)
    let dropped = 0
    for (const [key, { message }] of this.#replaceable) {
      if (message.channel !== channel) continue
      this.dropReplaceableKey(key)
      dropped++
    }
    return dropped
  }

  /** Drops replaceable messages of a channel that are older than `creationIndex`. */
  dropOlderThan (channel: ChannelName, creationIndex: number): void {
    for (const [key, { message }] of this.#replaceable) if (message.channel === channel && message.creationIndex < creationIndex) this.dropReplaceableKey(key)
  }

  dropReliable (): void {
    this.#reliable.length = this.#reliableBytes = 0
  }

  /** Drops all replaceable messages. Gives the channels that they were of. */
  dropReplaceable (): Set<ChannelName> {
    const channels = new Set<ChannelName>()
    for (const { message } of this.#replaceable.values()) if (message.channel !== undefined) channels.add(message.channel)
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

  /** The next replaceable message, which says how many older ones it stands for. */
  takeReplaceable (): Message | undefined {
    const first = this.#replaceable.entries().next()
    if (first.done === true) return undefined
    const [key, { message, conflated }] = first.value
    this.dropReplaceableKey(key)
    return conflated === 0 ? message : message.conflated(conflated)
  }
}
