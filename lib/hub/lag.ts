import type { ChannelName } from '../../schemas/channels/index.js'
import type { Log } from './log.js'
import type { Message } from './message.js'
import type { Recovery, Snapshot } from './recovery.js'

/** From where on a connection wants the messages of a channel: their number in the log, and their offset in the channel. */
export interface Wanted { number: number, offset: number }

export interface LagSetup {
  log: Log
  recovery: Recovery
  /** The channels of the connection; moved forward where a snapshot takes the place of messages. */
  wanted: Map<ChannelName, Wanted>
  /** The number of the first message that was not sent. */
  from: number
  /** The offsets of the first message of each channel that was not sent; channels that are not in it have missed none so far. */
  offsets: Map<ChannelName, number>
  /** When it began, in ms of the monotonic clock: nothing newer was sent. */
  since: number
  /** Replaceable messages of a channel that are older than `made` have been outdated by a snapshot. */
  outdate: (channel: ChannelName, made: number) => void
}

/**
 * The way back of a connection that was too slow to have its messages kept: a cursor in the log. Gives the messages that were missed,
 * in order; where the log no longer reaches back, a `subscription_gap` and a snapshot in their place.
 */
export class Lag {
  readonly #setup: LagSetup
  readonly #overflowed = new Set<ChannelName>()
  #cursor: number
  #made: Array<{ messages: readonly Message[], at: number, channel: ChannelName }> = []

  constructor (setup: LagSetup) {
    this.#setup = setup
    this.#cursor = setup.from
  }

  /** Replaceable messages of these channels were dropped. */
  lose (channels: Iterable<ChannelName>): void {
    for (const channel of channels) this.#overflowed.add(channel)
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
    for (let made = this.#made[0]; made !== undefined; made = this.#made[0]) {
      if (made.at < made.messages.length && this.#setup.wanted.has(made.channel)) return made.messages[made.at++]
      this.#made.shift()
    }
    return undefined
  }

  #nextLogged (): Message | undefined {
    const { log, wanted, offsets } = this.#setup
    while (this.#cursor < log.nextNumber) {
      const message = log.get(this.#cursor++)
      const { channel, offset, number } = message.place!
      const from = wanted.get(channel)
      if (from === undefined || number < from.number) continue
      offsets.set(channel, offset + 1)
      return message
    }
    return undefined
  }

  #recoverTrimmed (): void {
    const { log, wanted, offsets, recovery, since } = this.#setup
    if (this.#cursor >= log.firstNumber) return
    for (const [channel, from] of wanted) {
      if (log.trimmedNumber(channel) < Math.max(this.#cursor, from.number)) continue
      const snapshot = recovery.snapshot(channel, since)
      // Of a channel that was subscribed to since then nothing was sent.
      const first = Math.max(offsets.get(channel) ?? from.offset, from.offset)
      this.#give(channel, snapshot, recovery.gap(channel, { cause: 'trimmed', from: first, to: snapshot.offset }))
      // The offset stays the first that was missed: if the log outruns this snapshot too, the next gap begins there.
      wanted.set(channel, { number: snapshot.number, offset: first })
    }
    this.#cursor = log.firstNumber
  }

  #recoverOverflowed (): void {
    const { wanted, recovery } = this.#setup
    for (const channel of this.#overflowed) {
      if (wanted.has(channel)) this.#give(channel, recovery.snapshot(channel, Infinity), recovery.gap(channel, { cause: 'overflow' }))
    }
    this.#overflowed.clear()
  }

  #give (channel: ChannelName, { made, messages }: Snapshot, gap: Message): void {
    this.#setup.outdate(channel, made)
    this.#made = this.#made.filter((given) => given.channel !== channel)
    this.#made.push({ messages: [gap, ...messages], at: 0, channel })
  }
}
