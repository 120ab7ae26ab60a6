import { LOGGED_CHANNELS, type ChannelName, type ChannelPayloads } from '../../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { Clock, Timer } from '../../base/clock.js'
import type { Channel, Subscriber } from '../channel.js'
import type { Connection } from '../connections/connection.js'
import type { MessageLog } from '../history/message-log.js'

type Broadcast = <Name extends ChannelName>(name: Name, payload: ChannelPayloads[Name], only?: ReadonlySet<Subscriber>) => number | undefined

/** Subscribers of a channel that want the same of it, so that a message is held against their filter once. */
export interface SubscriberGroup { readonly filter: SubscriptionFilter | undefined, readonly members: Set<Connection> }

/** One channel: what it is, who listens, and whether it runs. */
interface ChannelState { readonly channel: Channel, readonly groups: Map<string, SubscriberGroup>, isOpen: boolean, closing: Timer | undefined }

export interface SubscriptionsDeps {
  clock: Clock
  channels: readonly Channel[]
  log: MessageLog
  /** How long a channel whose messages are kept runs on after its last subscriber, in ms. */
  keepMs: number
  broadcast: Broadcast
  /** A channel has stopped. */
  onClose: (name: ChannelName) => void
}

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/** Who listens to what. Starts a channel at its first subscriber and stops it after the last one. */
export class Subscriptions {
  readonly #deps: SubscriptionsDeps
  readonly #channels: ReadonlyMap<string, ChannelState>
  readonly #keys = new Map<Connection, Map<ChannelName, string>>()

  constructor (setup: SubscriptionsDeps) {
    this.#deps = setup
    this.#channels = new Map(setup.channels.map((channel) => [channel.name, { channel, groups: new Map(), isOpen: false, closing: undefined }]))
  }

  isChannel (name: string): name is ChannelName {
    return this.#channels.has(name)
  }

  channel (name: ChannelName): Channel {
    return this.#state(name).channel
  }

  /** Whether the channel runs: it has subscribers, or had some and what it says is kept for them. */
  isOpen (name: ChannelName): boolean {
    return this.#state(name).isOpen
  }

  /** The subscribers of a channel, by what they want. */
  groups (name: ChannelName): Iterable<SubscriberGroup> {
    return this.#state(name).groups.values()
  }

  count (name: ChannelName): number {
    let count = 0
    for (const { members } of this.groups(name)) count += members.size
    return count
  }

  /** Whether a connection has this very subscription. */
  has (connection: Connection, name: ChannelName, filter: SubscriptionFilter | undefined): boolean {
    return this.#keys.get(connection)?.get(name) === keyOf(filter)
  }

  /** Adds a subscriber, whose former subscription to the channel ends; its `wanted` says what of the channel it gets. Gives whether it had none. */
  join (connection: Connection, name: ChannelName, filter: SubscriptionFilter | undefined): boolean {
    const seat = this.#state(name)
    this.#open(seat)
    const isNew = !this.#remove(connection, name)
    const key = keyOf(filter)
    const group = seat.groups.get(key) ?? { filter, members: new Set() }
    seat.groups.set(key, group)
    group.members.add(connection)
    const keys = this.#keys.get(connection) ?? new Map<ChannelName, string>()
    this.#keys.set(connection, keys.set(name, key))
    seat.channel.joined?.(connection)
    return isNew
  }

  leave (connection: Connection, name: ChannelName): void {
    if (!this.#remove(connection, name)) return
    const seat = this.#state(name)
    if (seat.groups.size === 0) this.#closeSoon(seat)
  }

  leaveAll (connection: Connection): void {
    for (const name of this.#keys.get(connection)?.keys() ?? []) this.leave(connection, name)
  }

  /** Stops all channels. */
  close (): void {
    for (const seat of this.#channels.values()) if (seat.isOpen) this.#close(seat)
  }

  #state (name: ChannelName): ChannelState {
    return this.#channels.get(name)!
  }

  // Takes a subscriber off, and what waits for it; gives whether it was one.
  #remove (connection: Connection, name: ChannelName): boolean {
    const keys = this.#keys.get(connection)
    const key = keys?.get(name)
    if (key === undefined) return false
    const { groups, channel } = this.#state(name)
    const { members } = groups.get(key)!
    members.delete(connection)
    if (members.size === 0) groups.delete(key)
    keys!.delete(name)
    if (keys!.size === 0) this.#keys.delete(connection)
    connection.subscriptions.delete(name)
    connection.outbox.dropChannel(name)
    channel.left?.(connection)
    return true
  }

  #open (seat: ChannelState): void {
    const { log, broadcast } = this.#deps
    const { channel } = seat
    seat.closing?.cancel()
    seat.closing = undefined
    if (seat.isOpen) return
    seat.isOpen = true
    channel.start((payload, only) => broadcast(channel.name, payload, only), log.head(channel.name))
  }

  #closeSoon (seat: ChannelState): void {
    const { clock, keepMs } = this.#deps
    if (!LOGGED.has(seat.channel.name)) return this.#close(seat)
    seat.closing = clock.after(keepMs, () => this.#close(seat))
  }

  #close (seat: ChannelState): void {
    const { log, onClose } = this.#deps
    const { channel } = seat
    seat.closing?.cancel()
    seat.closing = undefined
    seat.isOpen = false
    channel.stop()
    onClose(channel.name)
    if (!LOGGED.has(channel.name)) return
    log.interrupt(channel.name)
    if ([...this.#channels.values()].every(({ isOpen, channel: { name } }) => !isOpen || !LOGGED.has(name))) log.clear()
  }
}

/** The same text for filters that want the same. */
function keyOf (filter: SubscriptionFilter | undefined): string {
  if (filter === undefined) return ''
  const names = Object.keys(filter).sort() as Array<keyof SubscriptionFilter>
  return JSON.stringify(names.map((name) => [name, [...new Set(filter[name])].sort()]))
}
