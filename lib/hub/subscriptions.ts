import type { ChannelName, ChannelPayloads } from '../../schemas/channels/index.js'
import type { Channel, Subscriber } from './channel.js'
import type { Connection } from './connection.js'
import type { Log } from './log.js'

type Broadcast = <Name extends ChannelName>(name: Name, payload: ChannelPayloads[Name], only?: ReadonlySet<Subscriber>) => void

/** Who listens to what. Starts a channel at its first subscriber and stops it after the last one. */
export class Subscriptions {
  readonly #channels: ReadonlyMap<string, Channel>
  readonly #subscribers = new Map<ChannelName, Set<Connection>>()
  readonly #log: Log
  readonly #broadcast: Broadcast

  constructor (channels: readonly Channel[], log: Log, broadcast: Broadcast) {
    this.#log = log
    this.#channels = new Map(channels.map((channel) => [channel.name, channel]))
    for (const channel of channels) this.#subscribers.set(channel.name, new Set())
    this.#broadcast = broadcast
  }

  isChannel (name: string): name is ChannelName {
    return this.#channels.has(name)
  }

  channel (name: ChannelName): Channel {
    return this.#channels.get(name)!
  }

  /** What one must know to have the whole present state of a channel. */
  state (name: ChannelName): ChannelPayloads[ChannelName][] {
    const channel = this.channel(name)
    return (channel.state ?? channel.snapshot).call(channel)
  }

  of (name: ChannelName): ReadonlySet<Connection> {
    return this.#subscribers.get(name)!
  }

  count (name: ChannelName): number {
    return this.of(name).size
  }

  /** Adds a subscriber; `false` if it was one before. */
  join (connection: Connection, name: ChannelName): boolean {
    const subscribers = this.#subscribers.get(name)!
    if (subscribers.has(connection)) return false
    const channel = this.channel(name)
    if (subscribers.size === 0) channel.start((payload, only) => this.#broadcast(name, payload, only))
    subscribers.add(connection)
    connection.wanted.set(name, { number: this.#log.nextNumber, offset: this.#log.head(name) + 1 })
    channel.joined?.(connection)
    return true
  }

  leave (connection: Connection, name: ChannelName): void {
    const subscribers = this.#subscribers.get(name)!
    if (!subscribers.delete(connection)) return
    connection.wanted.delete(name)
    connection.outbox.leave(name)
    if (subscribers.size === 0) this.channel(name).stop()
  }

  leaveAll (connection: Connection): void {
    for (const name of connection.wanted.keys()) this.leave(connection, name)
  }
}
