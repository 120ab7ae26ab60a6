import type { ChannelName } from '../../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { MessageLog } from '../history/message-log.js'
import type { Message } from '../wire/message.js'
import type { SnapshotCache, Snapshot } from '../history/snapshot-cache.js'

/** From where on a connection wants the messages of a channel: their number in the log, and their offset in the channel. */
export interface LogPosition { sequence: number, offset: number }

/** What a connection wants of a channel. */
export interface SubscriptionState extends LogPosition { filter?: SubscriptionFilter | undefined }

export interface LogReaderDeps {
  log: MessageLog
  snapshots: SnapshotCache
  /** Whether a message fits what its connection wants of the channel. */
  fits: (message: Message, filter: SubscriptionFilter | undefined) => boolean
  /** The channels of the connection; moved forward where a snapshot takes the place of messages. */
  subscriptions: Map<ChannelName, SubscriptionState>
  /** The first message of each channel that was not sent; of channels that are not in it none was sent that is wanted. */
  unsent: Map<ChannelName, LogPosition>
  /** When it began, in ms of the monotonic clock: nothing newer was sent. */
  since: number
  /** Replaceable messages of a channel that are older than `made` have been outdated by a snapshot. */
  dropOlderThan: (channel: ChannelName, made: number) => void
}

/** Messages that are given before those of the log; what the client has then begins at `start`. */
interface QueuedSnapshot { channel: ChannelName, messages: readonly Message[], at: number, start: LogPosition }

/**
 * The way of a connection to the present: a cursor in the log. Gives the messages that it has not got, in order; where the log no longer
 * reaches back, a `subscription_gap` and a snapshot in their place.
 */
export class LogReader {
  readonly #deps: LogReaderDeps
  readonly #overflowed = new Set<ChannelName>()
  #cursor: number
  #queuedSnapshots: QueuedSnapshot[] = []

  constructor (setup: LogReaderDeps) {
    this.#deps = setup
    this.#cursor = Math.min(setup.log.nextSequence, ...Array.from(setup.unsent.values(), ({ sequence }) => sequence))
  }

  /** Replaceable messages of these channels were dropped. */
  markOverflowed (channels: Iterable<ChannelName>): void {
    for (const channel of channels) this.#overflowed.add(channel)
  }

  /**
   * Gives `messages`, then those of the log from `start` on; for a channel that has just been subscribed to. `firstMissingOffset` is the offset of the
   * first message that the client does not know until it has `messages`.
   */
  catchUp (channel: ChannelName, { start, firstMissingOffset, messages }: { start: LogPosition, firstMissingOffset: number, messages: readonly Message[] }): void {
    const { unsent } = this.#deps
    // What the cursor has passed is sent: it must not be given again when the cursor goes back for another channel.
    for (const one of unsent.values()) one.sequence = Math.max(one.sequence, this.#cursor)
    unsent.set(channel, { sequence: start.sequence, offset: messages.length > 0 ? firstMissingOffset : start.offset })
    this.#cursor = Math.min(this.#cursor, start.sequence)
    if (messages.length > 0) this.#queuedSnapshots.push({ channel, messages, at: 0, start })
  }

  /** Gives nothing more of a channel. */
  dropChannel (channel: ChannelName): void {
    this.#deps.unsent.delete(channel)
    this.#overflowed.delete(channel)
    this.#dropQueued(channel)
  }

  /** The next message; `undefined` when the connection has caught up. */
  next (): Message | undefined {
    this.#recoverTrimmed()
    const missed = this.#nextQueued() ?? this.#nextLogged()
    if (missed !== undefined || this.#overflowed.size === 0) return missed
    // Only now: the messages before must not come after a state that is newer.
    this.#recoverOverflowed()
    return this.#nextQueued()
  }

  #nextQueued (): Message | undefined {
    const queued = this.#queuedSnapshots[0]
    if (queued === undefined) return undefined
    const message = queued.messages[queued.at++]
    // At once: until it is asked for the next message, the log may have moved on.
    if (queued.at === queued.messages.length) {
      this.#queuedSnapshots.shift()
      this.#deps.unsent.set(queued.channel, { ...queued.start })
    }
    return message
  }

  #nextLogged (): Message | undefined {
    const { log, subscriptions, unsent, fits } = this.#deps
    while (this.#cursor < log.nextSequence) {
      const message = log.get(this.#cursor++)
      const { channel, offset, sequence } = message.position!
      const want = subscriptions.get(channel)
      const from = unsent.get(channel)
      if (want === undefined || sequence < want.sequence || (from !== undefined && sequence < from.sequence)) continue
      unsent.set(channel, { sequence: sequence + 1, offset: offset + 1 })
      if (fits(message, want.filter)) return message
    }
    return undefined
  }

  #recoverTrimmed (): void {
    const { log, subscriptions, unsent, snapshots, since } = this.#deps
    if (this.#cursor >= log.firstSequence) return
    for (const [channel, want] of subscriptions) {
      const from = unsent.get(channel)
      if (log.trimmed(channel).sequence < Math.max(this.#cursor, want.sequence, from?.sequence ?? 0)) continue
      const first = Math.max(want.offset, from?.offset ?? 0)
      const snapshot = snapshots.snapshot(channel, { filter: want.filter, after: first - 1, notBefore: since })
      this.#queueSnapshot(channel, snapshot, snapshots.gap(channel, { cause: 'trimmed', from: Math.max(1, first), snapshot }))
      // The offset stays the first that was missed: if the log outruns this snapshot before it is sent, the next gap begins there.
      subscriptions.set(channel, { sequence: snapshot.sequence, offset: first, filter: want.filter })
    }
    this.#cursor = log.firstSequence
  }

  #recoverOverflowed (): void {
    const { subscriptions, snapshots, log } = this.#deps
    for (const channel of this.#overflowed) {
      const { filter } = subscriptions.get(channel)!
      const snapshot = snapshots.snapshot(channel, { filter, after: log.head(channel), notBefore: Infinity })
      this.#queueSnapshot(channel, snapshot, snapshots.gap(channel, { cause: 'overflow', snapshot }))
    }
    this.#overflowed.clear()
  }

  #queueSnapshot (channel: ChannelName, { createdCount, messages, sequence, offset }: Snapshot, gap: Message): void {
    this.#deps.dropOlderThan(channel, createdCount)
    this.#dropQueued(channel)
    this.#queuedSnapshots.push({ channel, messages: [gap, ...messages], at: 0, start: { sequence, offset: offset + 1 } })
  }

  #dropQueued (channel: ChannelName): void {
    this.#queuedSnapshots = this.#queuedSnapshots.filter((given) => given.channel !== channel)
  }
}
