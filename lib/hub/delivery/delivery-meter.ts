import { CHANNEL_NAMES, type ChannelName } from '../../../schemas/channels/index.js'
import type { Clock } from '../../base/clock.js'
import { Histogram, type HistogramCounts } from '../../base/histogram.js'
import { Message } from '../wire/message.js'
import type { Batch } from './batch.js'

/** Messages and their bytes, as they were sent to all connections together, before compression. */
export interface SentCounts { messages: number, bytes: number }

/** The name under which replies and heartbeats are counted, which belong to no channel. */
export const NO_CHANNEL = 'none'

export type DeliveryClass = 'reliable' | 'replaceable'

const DELAY_BOUNDS_MS = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000
]

/**
 * Measures delivery: messages and bytes by channel, and the time from the publication of a message until it is written
 * to a socket.
 *
 * A batch that many connections share is examined once per tick, so that the cost does not grow with the number of
 * connections.
 */
export class DeliveryMeter {
  readonly #clock: Clock
  readonly #sent = new Map<ChannelName | undefined, SentCounts>()
  readonly #delays = { reliable: new Histogram(DELAY_BOUNDS_MS), replaceable: new Histogram(DELAY_BOUNDS_MS) }
  #written: Batch[] = []
  /** Messages created before this one were published before this tick. */
  #tickStart = 0

  constructor (clock: Clock) {
    this.#clock = clock
    for (const channel of [...CHANNEL_NAMES, undefined]) this.#sent.set(channel, { messages: 0, bytes: 0 })
  }

  /** A batch was written to one more connection. */
  wrote (batch: Batch): void {
    if (batch.writes++ === 0) this.#written.push(batch)
  }

  /**
   * Messages that were pending were written to one connection. `isMeasured` is `false` for messages of the log, because
   * the client may have been away when they were published.
   */
  wrotePending (messages: readonly Message[], isMeasured: boolean): void {
    const now = this.#clock.monotonic()
    for (const message of messages) {
      this.#count(message, 1)
      if (isMeasured) this.#measure(message, 1, now)
    }
  }

  /** Counts the batches of this tick. A client that catches up receives older messages, which have no delay. */
  endTick (): void {
    const now = this.#clock.monotonic()
    for (const batch of this.#written) {
      for (let one: Batch = batch; one.message !== undefined; one = one.parent!) {
        this.#count(one.message, batch.writes)
        if (one.message.creationIndex >= this.#tickStart) this.#measure(one.message, batch.writes, now)
      }
      batch.writes = 0
    }
    this.#written = []
    this.#tickStart = Message.createdCount
  }

  read (): { sent: Array<[channel: string, counts: SentCounts]>, delays: Record<DeliveryClass, HistogramCounts> } {
    const { reliable, replaceable } = this.#delays
    return {
      sent: [...this.#sent].map(([channel = NO_CHANNEL, counts]) => [channel, { ...counts }]),
      delays: { reliable: reliable.read(), replaceable: replaceable.read() }
    }
  }

  #count ({ channel, bytes }: Message, times: number): void {
    const sent = this.#sent.get(channel)!
    sent.messages += times
    sent.bytes += bytes * times
  }

  #measure ({ publishedMs, position }: Message, times: number, now: number): void {
    if (publishedMs === undefined) return
    this.#delays[position === undefined ? 'replaceable' : 'reliable'].record(now - publishedMs, times)
  }
}
