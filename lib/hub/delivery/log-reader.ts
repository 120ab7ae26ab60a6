import type { ChannelName } from '../../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { Log } from '../history/message-log.js'
import type { Message } from '../wire/message.js'
import type { Recovery, Snapshot } from '../history/snapshots.js'

/** From where on a connection wants the messages of a channel: their number in the log, and their offset in the channel. */
export interface Start { number: number, offset: number }

/** What a connection wants of a channel. */
export interface Wanted extends Start { filter?: SubscriptionFilter | undefined }

export interface LagSetup {
  log: Log
  recovery: Recovery
  /** Whether a message fits what its connection wants of the channel. */
  fits: (message: Message, filter: SubscriptionFilter | undefined) => boolean
  /** The channels of the connection; moved forward where a snapshot takes the place of messages. */
  wanted: Map<ChannelName, Wanted>
  /** The first message of each channel that was not sent; of channels that are not in it none was sent that is wanted. */
  unsent: Map<ChannelName, Start>
  /** When it began, in ms of the monotonic clock: nothing newer was sent. */
  since: number
  /** Replaceable messages of a channel that are older than `made` have been outdated by a snapshot. */
  outdate: (channel: ChannelName, made: number) => void
}

/** Messages that are given before those of the log; what the client has then begins at `start`. */
interface Made { channel: ChannelName, messages: readonly Message[], at: number, start: Start }

/**
 * The way of a connection to the present: a cursor in the log. Gives the messages that it has not got, in order; where the log no longer
 * reaches back, a `subscription_gap` and a snapshot in their place.
 */
export class Lag {
  readonly #setup: LagSetup
  readonly #overflowed = new Set<ChannelName>()
  #cursor: number
  #made: Made[] = []

  constructor (setup: LagSetup) {
    this.#setup = setup
    this.#cursor = Math.min(setup.log.nextNumber, ...Array.from(setup.unsent.values(), ({ number }) => number))
  }

  /** Replaceable messages of these channels were dropped. */
  lose (channels: Iterable<ChannelName>): void {
    for (const channel of channels) this.#overflowed.add(channel)
  }

  /**
   * Gives `messages`, then those of the log from `start` on; for a channel that has just been subscribed to. `lacking` is the offset of the
   * first message that the client does not know until it has `messages`.
   */
  follow (channel: ChannelName, { start, lacking, messages }: { start: Start, lacking: number, messages: readonly Message[] }): void {
    const { unsent } = this.#setup
    // What the cursor has passed is sent: it must not be given again when the cursor goes back for another channel.
    for (const one of unsent.values()) one.number = Math.max(one.number, this.#cursor)
    unsent.set(channel, { number: start.number, offset: messages.length > 0 ? lacking : start.offset })
    this.#cursor = Math.min(this.#cursor, start.number)
    if (messages.length > 0) this.#made.push({ channel, messages, at: 0, start })
  }

  /** Gives nothing more of a channel. */
  leave (channel: ChannelName): void {
    this.#setup.unsent.delete(channel)
    this.#overflowed.delete(channel)
    this.#drop(channel)
  }

  /** The next message; `undefined` when the connection has caught up. */
  next (): Message | undefined {
    this.#recoverTrimmed()
    const missed = this.#nextMade() ?? this.#nextLogged()
    if (missed !== undefined || this.#overflowed.size === 0) return missed
    // Only now: the messages before must not come after a state that is newer.
    this.#recoverOverflowed()
    return this.#nextMade()
  }

  #nextMade (): Message | undefined {
    const made = this.#made[0]
    if (made === undefined) return undefined
    const message = made.messages[made.at++]
    // At once: until it is asked for the next message, the log may have moved on.
    if (made.at === made.messages.length) {
      this.#made.shift()
      this.#setup.unsent.set(made.channel, { ...made.start })
    }
    return message
  }

  #nextLogged (): Message | undefined {
    const { log, wanted, unsent, fits } = this.#setup
    while (this.#cursor < log.nextNumber) {
      const message = log.get(this.#cursor++)
      const { channel, offset, number } = message.place!
      const want = wanted.get(channel)
      const from = unsent.get(channel)
      if (want === undefined || number < want.number || (from !== undefined && number < from.number)) continue
      unsent.set(channel, { number: number + 1, offset: offset + 1 })
      if (fits(message, want.filter)) return message
    }
    return undefined
  }

  #recoverTrimmed (): void {
    const { log, wanted, unsent, recovery, since } = this.#setup
    if (this.#cursor >= log.firstNumber) return
    for (const [channel, want] of wanted) {
      const from = unsent.get(channel)
      if (log.trimmed(channel).number < Math.max(this.#cursor, want.number, from?.number ?? 0)) continue
      const first = Math.max(want.offset, from?.offset ?? 0)
      const snapshot = recovery.snapshot(channel, { filter: want.filter, after: first - 1, notBefore: since })
      this.#give(channel, snapshot, recovery.gap(channel, { cause: 'trimmed', from: Math.max(1, first), snapshot }))
      // The offset stays the first that was missed: if the log outruns this snapshot before it is sent, the next gap begins there.
      wanted.set(channel, { number: snapshot.number, offset: first, filter: want.filter })
    }
    this.#cursor = log.firstNumber
  }

  #recoverOverflowed (): void {
    const { wanted, recovery, log } = this.#setup
    for (const channel of this.#overflowed) {
      const { filter } = wanted.get(channel)!
      const snapshot = recovery.snapshot(channel, { filter, after: log.head(channel), notBefore: Infinity })
      this.#give(channel, snapshot, recovery.gap(channel, { cause: 'overflow', snapshot }))
    }
    this.#overflowed.clear()
  }

  #give (channel: ChannelName, { made, messages, number, offset }: Snapshot, gap: Message): void {
    this.#setup.outdate(channel, made)
    this.#drop(channel)
    this.#made.push({ channel, messages: [gap, ...messages], at: 0, start: { number, offset: offset + 1 } })
  }

  #drop (channel: ChannelName): void {
    this.#made = this.#made.filter((given) => given.channel !== channel)
  }
}
