import type { ChannelName } from '../../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { Clock } from '../../base/clock.js'
import type { Viewer } from '../../access/viewer.js'
import type { Channel, Publish, Selection } from '../channel.js'
import type { Connection } from '../connections/connection.js'
import type { MessageLog } from '../history/message-log.js'
import { Message } from '../wire/message.js'
import { createChannelState, type ChannelState } from '../channel-state.js'

export interface SubscriptionsDeps {
  clock: Clock
  channels: readonly Channel[]
  log: MessageLog
  /** How long a logged channel stays open after its last subscriber left, in ms. */
  keepOpenMs: number
  /** Creates the function that a channel publishes with. */
  createPublish: (state: ChannelState) => Publish<ChannelName>
  /** Called before a channel is started. */
  onOpen: (state: ChannelState) => void
  /** Called when a channel was stopped. */
  onClose: (name: ChannelName) => void
}

/** The subscribers of every channel. Starts a channel for its first subscriber and stops it after the last one left. */
export class Subscriptions {
  readonly #deps: SubscriptionsDeps
  readonly #channels: ReadonlyMap<string, ChannelState>
  readonly #filterKeys = new Map<Connection, Map<ChannelName, string>>()

  constructor (deps: SubscriptionsDeps) {
    this.#deps = deps
    this.#channels = new Map(deps.channels.map((channel) => [channel.name, createChannelState(channel)]))
  }

  isChannel (name: string): name is ChannelName {
    return this.#channels.has(name)
  }

  state (name: ChannelName): ChannelState {
    return this.#channels.get(name)!
  }

  channel (name: ChannelName): Channel {
    return this.state(name).channel
  }

  count (name: ChannelName): number {
    let count = 0
    for (const { members } of this.state(name).groups.values()) count += members.size
    return count
  }

  /** Whether the connection is subscribed to the channel with exactly this filter. */
  has (connection: Connection, name: ChannelName, filter: SubscriptionFilter | undefined): boolean {
    return this.#filterKeys.get(connection)?.get(name) === keyOf(filter)
  }

  /** Starts a logged channel without a subscriber, as if one had just left. */
  open (name: ChannelName): void {
    const state = this.state(name)
    if (state.isOpen || !state.isLogged) return
    this.#open(state)
    this.#scheduleClose(state)
  }

  /**
   * Adds a subscriber; its previous subscription to the channel ends. Its entry in `connection.subscriptions` is left
   * to the caller. Returns whether the connection was not subscribed before.
   */
  join (connection: Connection, name: ChannelName, filter: SubscriptionFilter | undefined): boolean {
    const state = this.state(name)
    this.#open(state)
    const isNew = !this.#remove(connection, name)
    const key = keyOf(filter)
    const known = state.groups.get(key)
    const group = known ?? { filter, members: new Set() }
    state.groups.set(key, group)
    if (known === undefined) state.routes.add(group)
    group.members.add(connection)
    const filterKeys = this.#filterKeys.get(connection) ?? new Map<ChannelName, string>()
    this.#filterKeys.set(connection, filterKeys.set(name, key))
    state.channel.joined?.(connection, filter)
    return isNew
  }

  leave (connection: Connection, name: ChannelName): void {
    if (!this.#remove(connection, name)) return
    const state = this.state(name)
    if (state.groups.size === 0) this.#scheduleClose(state)
  }

  leaveAll (connection: Connection): void {
    for (const name of this.#filterKeys.get(connection)?.keys() ?? []) this.leave(connection, name)
  }

  /** Whether no channel runs. */
  get isIdle (): boolean {
    return this.openStates().length === 0
  }

  /** The channels that run. */
  openStates (): ChannelState[] {
    return [...this.#channels.values()].filter(({ isOpen }) => isOpen)
  }

  /** Stops all channels. */
  close (): void {
    for (const state of this.openStates()) this.#close(state)
  }

  // Removes a subscriber and its pending messages of the channel; returns whether it was subscribed.
  #remove (connection: Connection, name: ChannelName): boolean {
    const filterKeys = this.#filterKeys.get(connection)
    const key = filterKeys?.get(name)
    if (key === undefined) return false
    const { groups, routes, channel } = this.state(name)
    const group = groups.get(key)!
    group.members.delete(connection)
    if (group.members.size === 0) {
      groups.delete(key)
      routes.remove(group)
    }
    filterKeys!.delete(name)
    if (filterKeys!.size === 0) this.#filterKeys.delete(connection)
    connection.subscriptions.delete(name)
    connection.leftAt = Message.createdCount
    connection.outbox.dropChannel(name)
    channel.left?.(connection)
    return true
  }

  #open (state: ChannelState): void {
    const { log, createPublish, onOpen } = this.#deps
    const { channel } = state
    cancelClose(state)
    if (state.isOpen) return
    state.isOpen = true
    onOpen(state)
    channel.start(createPublish(state), log.head(channel.name))
  }

  #scheduleClose (state: ChannelState): void {
    const { clock, keepOpenMs } = this.#deps
    if (!state.isLogged) return this.#close(state)
    state.closeTimer = clock.after(keepOpenMs, () => this.#close(state))
  }

  #close (state: ChannelState): void {
    const { log, onClose } = this.#deps
    const { channel } = state
    cancelClose(state)
    state.isOpen = false
    channel.stop()
    state.latestValues.clear()
    onClose(channel.name)
    if (!state.isLogged) return
    log.interrupt(channel.name)
    const isIdle = [...this.#channels.values()].every(({ isOpen, isLogged }) => !isOpen || !isLogged)
    if (isIdle) log.clear()
  }
}

function cancelClose (state: ChannelState): void {
  state.closeTimer?.cancel()
  state.closeTimer = undefined
}

const viewerNumbers = new WeakMap<Viewer, number>()
let viewerCount = 0

function numberOf (viewer: Viewer): number {
  const number = viewerNumbers.get(viewer) ?? ++viewerCount
  viewerNumbers.set(viewer, number)
  return number
}

/** The same key for those that select the same messages. */
function keyOf (selection: Selection | undefined): string {
  if (selection === undefined) return ''
  const { viewer, ...filter } = selection
  const names = Object.keys(filter).sort() as Array<keyof typeof filter>
  const lists = names.map((name) => [name, [...new Set(filter[name])].sort()])
  return JSON.stringify(viewer === undefined ? lists : [...lists, numberOf(viewer)])
}
