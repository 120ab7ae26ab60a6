import type { ChannelName } from '../../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { MessageLog } from '../history/message-log.js'
import type { LogPosition, Message, MessageBody } from '../wire/message.js'
import type { CatchUp, LogRestart, SubscriptionState } from './catch-up.js'
import type { RequestBudget } from './request-budget.js'
import type { Steps, TurnWork } from './turn-work.js'
import type { SnapshotCache, Snapshot } from '../history/snapshot-cache.js'
import type { SnapshotDelivery } from '../history/snapshot-copies.js'

export interface LogReaderDeps {
  log: MessageLog
  snapshots: SnapshotCache
  fits: (message: Message, filter: SubscriptionFilter | undefined) => boolean
  /** The subscribed channels of the connection; their positions move forward when a snapshot replaces messages. */
  subscriptions: Map<ChannelName, SubscriptionState>
  /** The first unsent message per channel; of a channel without an entry, none of the subscribed messages was sent. */
  unsent: Map<ChannelName, LogPosition>
  work: TurnWork
  budget: RequestBudget | undefined
  /** Called when a snapshot that took several turns of the event loop is ready. */
  onReady: () => void
  /** Drops the pending replaceable messages of a channel, which a snapshot has made obsolete. */
  dropReplaceable: (channel: ChannelName) => void
}

/** A snapshot that is sent before messages of the log; `start` is the next position once all of it was sent. */
interface QueuedSnapshot {
  channel: ChannelName
  bodies: readonly MessageBody[]
  sentCount: number
  start: LogPosition
  delivery: SnapshotDelivery
}

/**
 * Brings a lagging connection up to date: a cursor in the log. Returns the unsent messages in order; where the log was
 * trimmed, a `subscription_gap` and a snapshot instead. Taking the snapshot may take several turns of the event loop.
 */
export class LogReader {
  readonly #deps: LogReaderDeps
  readonly #overflowed = new Set<ChannelName>()
  /** The channels whose snapshot must be replaced, some because their log has begun again. */
  readonly #outdated = new Map<ChannelName, LogRestart | undefined>()
  #cursor: number
  #queuedSnapshots: QueuedSnapshot[] = []
  #isRecovering = false
  /** Whether `next` has returned meanwhile. */
  #isAwaited = false
  #isClosed = false

  constructor (deps: LogReaderDeps) {
    this.#deps = deps
    this.#cursor = Math.min(deps.log.nextSequence, ...Array.from(deps.unsent.values(), ({ sequence }) => sequence))
  }

  /** Whether the snapshot that comes next is still being made. */
  get isRecovering (): boolean { return this.#isRecovering }

  /** Gives up what is still being made. */
  close (): void {
    this.#isClosed = true
  }

  /** Replaceable messages of these channels were dropped; a snapshot will replace them. */
  markOverflowed (channels: Iterable<ChannelName>): void {
    for (const channel of channels) this.#overflowed.add(channel)
  }

  /** Adds a channel that was just subscribed to. */
  catchUp (channel: ChannelName, { start, firstMissingOffset, snapshot }: CatchUp): void {
    const { unsent } = this.#deps
    // Messages before the cursor were sent: they must not be sent again when the cursor moves back for this channel.
    for (const position of unsent.values()) position.sequence = Math.max(position.sequence, this.#cursor)
    const offset = snapshot.length > 0 ? firstMissingOffset : start.offset
    unsent.set(channel, { sequence: start.sequence, offset })
    this.#cursor = Math.min(this.#cursor, start.sequence)
    if (snapshot.length > 0) this.#queue(channel, snapshot, start)
  }

  /** Sends no further message of a channel. */
  dropChannel (channel: ChannelName): void {
    this.#deps.unsent.delete(channel)
    this.#overflowed.delete(channel)
    this.#outdated.delete(channel)
    this.#dropQueued(channel)
  }

  /** The rights of the client have changed: replaces a snapshot that is being made or sent. */
  recheck (channel: ChannelName): void {
    if (this.#isRecovering || this.#queuedSnapshots.some((queued) => queued.channel === channel)) this.replace(channel)
  }

  /** Sends a new snapshot of a channel next. */
  replace (channel: ChannelName): void {
    this.#outdated.set(channel, this.#outdated.get(channel))
  }

  /** Sends a gap and a new snapshot of a channel next. */
  restart (channel: ChannelName, restart: LogRestart): void {
    this.#dropQueued(channel)
    this.#deps.unsent.delete(channel)
    this.#outdated.set(channel, restart)
  }

  /** The offset of the last message of a channel that was sent, or of which the endings are known to be sent. */
  lastSent (channel: ChannelName): number {
    const { unsent, subscriptions } = this.#deps
    return this.#outdated.get(channel)?.after ?? (unsent.get(channel) ?? subscriptions.get(channel)!).offset - 1
  }

  /** The next message to send; `undefined` while recovering, and when the connection has caught up. */
  next (): Message | undefined {
    const isTrimmed = this.#cursor < this.#deps.log.firstSequence
    if ((isTrimmed || this.#outdated.size > 0) && !this.#isRecovering) this.#recover(this.#recoverTrimmed())
    if (this.#isRecovering) return undefined
    const missed = this.#nextQueued() ?? this.#nextLogged()
    if (missed !== undefined || this.#overflowed.size === 0) return missed
    // Not earlier: messages of the log must not follow a snapshot that is newer than they are.
    this.#recover(this.#recoverOverflowed())
    return this.#isRecovering ? undefined : this.#nextQueued()
  }

  #recover (steps: Steps): void {
    this.#isRecovering = true
    this.#isAwaited = false
    const { work, budget } = this.#deps
    const begin = (): void => work.run(this.#inTurns(steps))
    if (budget === undefined) begin()
    else budget.wait(begin)
    this.#isAwaited = this.#isRecovering
  }

  * #inTurns (steps: Steps): Steps {
    if (this.#isClosed) return
    let hasTurned = false
    for (let step = steps.next(hasTurned); step.done !== true && !this.#isClosed; step = steps.next(hasTurned)) {
      hasTurned = yield step.value
    }
    this.#isRecovering = false
    if (this.#isAwaited && !this.#isClosed) this.#deps.onReady()
  }

  #nextQueued (): Message | undefined {
    const queued = this.#queuedSnapshots[0]
    if (queued === undefined) return undefined
    const { channel, bodies, start, delivery } = queued
    const body = bodies[queued.sentCount++]!
    // Not at the next call: by then the log may have been trimmed further.
    if (queued.sentCount === bodies.length) {
      this.#queuedSnapshots.shift()
      this.#deps.unsent.set(channel, { ...start })
    }
    return this.#deps.snapshots.copies.message(body, delivery)
  }

  #nextLogged (): Message | undefined {
    const { log, subscriptions, unsent, fits } = this.#deps
    while (this.#cursor < log.nextSequence) {
      const message = log.get(this.#cursor++)
      const { channel, position: { offset, sequence } } = message
      const subscription = subscriptions.get(channel)
      const first = unsent.get(channel)
      if (subscription === undefined || sequence < subscription.sequence) continue
      if (first !== undefined && sequence < first.sequence) continue
      unsent.set(channel, { sequence: sequence + 1, offset: offset + 1 })
      if (fits(message, subscription.filter)) return message
    }
    return undefined
  }

  * #recoverTrimmed (): Steps {
    const { log, subscriptions } = this.#deps
    const isTrimmed = ([name, { sequence }]: [ChannelName, SubscriptionState]): boolean => this.#outdated.has(name) ||
      log.trimmed(name).sequence >= Math.max(this.#cursor, sequence, this.#deps.unsent.get(name)?.sequence ?? 0)
    for (;;) {
      const found = [...subscriptions].find(isTrimmed)
      if (found === undefined) break
      const [channel, subscription] = found
      const restart = this.#outdated.get(channel)
      // Before the snapshot is taken: the rights may change again meanwhile.
      this.#outdated.delete(channel)
      const snapshot = yield * this.#take(channel, subscription, restart?.after)
      // The client may have left the channel, or subscribed again.
      if (subscriptions.get(channel) === subscription) this.#replaceTrimmed(channel, subscription, snapshot, restart)
      yield snapshot.messages.length
    }
    this.#cursor = Math.max(this.#cursor, log.firstSequence)
  }

  // With the endings that were not sent yet.
  * #take (
    channel: ChannelName, subscription: SubscriptionState, after = this.#firstOffset(channel, subscription) - 1
  ): Generator<number, Snapshot, boolean> {
    const { snapshots } = this.#deps
    const endings = { after }
    const request = { filter: subscription.filter, endings }
    return (yield * snapshots.steps(channel, request)) ?? snapshots.snapshot(channel, request)
  }

  // The offset of the first message that was not sent.
  #firstOffset (channel: ChannelName, { offset }: SubscriptionState): number {
    return Math.max(offset, this.#deps.unsent.get(channel)?.offset ?? 0)
  }

  #replaceTrimmed (
    channel: ChannelName, subscription: SubscriptionState, snapshot: Snapshot, restart: LogRestart | undefined
  ): void {
    const { subscriptions, snapshots } = this.#deps
    const offset = restart === undefined ? this.#firstOffset(channel, subscription) : restart.after + 1
    const from = Math.max(1, offset)
    const lost = from <= snapshot.offset ? { cause: 'trimmed' as const, from } : { cause: 'overflow' as const }
    const gap = snapshots.gap(channel, { ...(restart === undefined ? lost : { cause: restart.cause }), snapshot })
    this.#queueSnapshot(channel, snapshot, gap)
    // The offset stays that of the first missing message: if the log is trimmed beyond this snapshot before it is sent,
    // the next gap begins there.
    subscriptions.set(channel, { sequence: snapshot.sequence, offset, filter: subscription.filter })
  }

  * #recoverOverflowed (): Steps {
    const { subscriptions, snapshots } = this.#deps
    for (const channel of this.#overflowed) {
      const subscription = subscriptions.get(channel)!
      const snapshot = yield * this.#take(channel, subscription)
      if (subscriptions.get(channel) !== subscription) continue
      this.#overflowed.delete(channel)
      this.#queueSnapshot(channel, snapshot, snapshots.gap(channel, { cause: 'overflow', snapshot }))
      yield snapshot.messages.length
    }
  }

  #queueSnapshot (channel: ChannelName, snapshot: Snapshot, gap: MessageBody): void {
    const { messages, sequence, offset } = snapshot
    this.#deps.budget?.charge(this.#deps.snapshots.costOf(channel, snapshot))
    this.#deps.dropReplaceable(channel)
    this.#dropQueued(channel)
    this.#queue(channel, [gap, ...messages], { sequence, offset: offset + 1 })
  }

  #queue (channel: ChannelName, bodies: readonly MessageBody[], start: LogPosition): void {
    const { snapshots: { copies }, subscriptions } = this.#deps
    // The map of subscriptions belongs to this connection alone.
    const delivery = copies.begin(subscriptions)
    this.#queuedSnapshots.push({ channel, bodies, sentCount: 0, start, delivery })
  }

  #dropQueued (channel: ChannelName): void {
    this.#queuedSnapshots = this.#queuedSnapshots.filter((queued) => queued.channel !== channel)
  }
}
