import { LOGGED_CHANNELS, type ChannelName, type ChannelPayloads } from '../../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { Clock, Timer } from '../../base/clock.js'
import type { Channel, Subscriber } from '../channel.js'
import type { Connection } from '../connections/connection.js'
import type { Log } from '../history/message-log.js'

type Broadcast = <Name extends ChannelName>(name: Name, payload: ChannelPayloads[Name], only?: ReadonlySet<Subscriber>) => number | undefined

/** Subscribers of a channel that want the same of it, so that a message is held against their filter once. */
export interface Group { readonly filter: SubscriptionFilter | undefined, readonly members: Set<Connection> }

/** One channel: what it is, who listens, and whether it runs. */
interface Seat { readonly channel: Channel, readonly groups: Map<string, Group>, isOpen: boolean, closing: Timer | undefined }

export interface SubscriptionsSetup {
  clock: Clock
  channels: readonly Channel[]
  log: Log
  /** How long a channel whose messages are kept runs on after its last subscriber, in ms. */
  keepMs: number
  broadcast: Broadcast
  /** A channel has stopped. */
  onClose: (name: ChannelName) => void
}

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/** Who listens to what. Starts a channel at its first subscriber and stops it after the last one. */
export class Subscriptions {
  readonly #setup: SubscriptionsSetup
  readonly #seats: ReadonlyMap<string, Seat>
  readonly #keys = new Map<Connection, Map<ChannelName, string>>()

  constructor (setup: SubscriptionsSetup) {
    this.#setup = setup
    this.#seats = new Map(setup.channels.map((channel) => [channel.name, { channel, groups: new Map(), isOpen: false, closing: undefined }]))
  }

  isChannel (name: string): name is ChannelName {
    return this.#seats.has(name)
  }

  channel (name: ChannelName): Channel {
    return this.#seat(name).channel
  }

  /** Whether the channel runs: it has subscribers, or had some and what it says is kept for them. */
  isOpen (name: ChannelName): boolean {
    return this.#seat(name).isOpen
  }

  /** The subscribers of a channel, by what they want. */
  groups (name: ChannelName): Iterable<Group> {
    return this.#seat(name).groups.values()
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
    const seat = this.#seat(name)
    this.#open(seat)
    const isNew = !this.#take(connection, name)
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
    if (!this.#take(connection, name)) return
    const seat = this.#seat(name)
    if (seat.groups.size === 0) this.#closeSoon(seat)
  }

  leaveAll (connection: Connection): void {
    for (const name of this.#keys.get(connection)?.keys() ?? []) this.leave(connection, name)
  }

  /** Stops all channels. */
  close (): void {
    for (const seat of this.#seats.values()) if (seat.isOpen) this.#close(seat)
  }

  #seat (name: ChannelName): Seat {
    return this.#seats.get(name)!
  }

  // Takes a subscriber off, and what waits for it; gives whether it was one.
  #take (connection: Connection, name: ChannelName): boolean {
    const keys = this.#keys.get(connection)
    const key = keys?.get(name)
    if (key === undefined) return false
    const { groups, channel } = this.#seat(name)
    const { members } = groups.get(key)!
    members.delete(connection)
    if (members.size === 0) groups.delete(key)
    keys!.delete(name)
    if (keys!.size === 0) this.#keys.delete(connection)
    connection.wanted.delete(name)
    connection.outbox.leave(name)
    channel.left?.(connection)
    return true
  }

  #open (seat: Seat): void {
    const { log, broadcast } = this.#setup
    const { channel } = seat
    seat.closing?.cancel()
    seat.closing = undefined
    if (seat.isOpen) return
    seat.isOpen = true
    channel.start((payload, only) => broadcast(channel.name, payload, only), log.head(channel.name))
  }

  #closeSoon (seat: Seat): void {
    const { clock, keepMs } = this.#setup
    if (!LOGGED.has(seat.channel.name)) return this.#close(seat)
    seat.closing = clock.after(keepMs, () => this.#close(seat))
  }

  #close (seat: Seat): void {
    const { log, onClose } = this.#setup
    const { channel } = seat
    seat.closing?.cancel()
    seat.closing = undefined
    seat.isOpen = false
    channel.stop()
    onClose(channel.name)
    if (!LOGGED.has(channel.name)) return
    log.interrupt(channel.name)
    if ([...this.#seats.values()].every(({ isOpen, channel: { name } }) => !isOpen || !LOGGED.has(name))) log.clear()
  }
}

/** The same text for filters that want the same. */
function keyOf (filter: SubscriptionFilter | undefined): string {
  if (filter === undefined) return ''
  const names = Object.keys(filter).sort() as Array<keyof SubscriptionFilter>
  return JSON.stringify(names.map((name) => [name, [...new Set(filter[name])].sort()]))
}
