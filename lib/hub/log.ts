import { randomBytes } from 'node:crypto'
import type { ChannelName } from '../../schemas/channels/index.js'
import type { Clock } from '../clock.js'
import type { LogPlace, Message } from './message.js'

export interface LogBounds { maxMessages: number, maxBytes: number, maxAgeMs: number }

interface Entry { message: Message, place: LogPlace, at: number }

/**
 * The recent messages that must arrive, of all channels in the order of their publication. Each has an offset, contiguous within its
 * channel and counted from 1, and a number, contiguous over all. Bounded by count, bytes and age; the oldest goes first.
 */
export class Log {
  /** Names this log: offsets of another process mean nothing here. */
  readonly epoch = randomBytes(9).toString('base64url')

  readonly #clock: Clock
  readonly #bounds: LogBounds
  readonly #heads = new Map<ChannelName, number>()
  readonly #trimmed = new Map<ChannelName, LogPlace>()
  // A queue with a moving head: shift() on a long array would move all of it for every message.
  #entries: Array<Entry | undefined> = []
  #first = 0
  #firstNumber = 1
  #nextNumber = 1
  #bytes = 0

  constructor (clock: Clock, bounds: LogBounds) {
    this.#clock = clock
    this.#bounds = bounds
  }

  /** The number that the next message will have. */
  get nextNumber (): number { return this.#nextNumber }

  /** The number of the oldest message that is kept, or `nextNumber` if none is. */
  get firstNumber (): number { return this.#firstNumber }

  /** The last offset of a channel; 0 before its first message. */
  head (channel: ChannelName): number { return this.#heads.get(channel) ?? 0 }

  /** The number of the last message of a channel that is no longer kept; 0 if all are. */
  trimmedNumber (channel: ChannelName): number { return this.#trimmed.get(channel)?.number ?? 0 }

  /** The place of the message that is published next; to be given to `append`. */
  place (channel: ChannelName): LogPlace {
    return { channel, offset: this.head(channel) + 1, number: this.#nextNumber }
  }

  append (message: Message, place: LogPlace): void {
    this.#entries.push({ message, place, at: this.#clock.monotonic() })
    this.#heads.set(place.channel, place.offset)
    this.#nextNumber++
    this.#bytes += message.bytes
    this.trim()
  }

  /** The message with this number, which must be from `firstNumber` up to before `nextNumber`. */
  get (number: number): Message {
    return this.#entries[this.#first + number - this.#firstNumber]!.message
  }

  /** Drops what is beyond the bounds. */
  trim (): void {
    const { maxMessages, maxBytes, maxAgeMs } = this.#bounds
    const oldestAt = this.#clock.monotonic() - maxAgeMs
    for (let oldest = this.#entries[this.#first]; oldest !== undefined; oldest = this.#entries[this.#first]) {
      if (this.#entries.length - this.#first <= maxMessages && this.#bytes <= maxBytes && oldest.at >= oldestAt) break
      this.#drop(oldest)
    }
    if (this.#first < 1_024 || this.#first * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#first)
    this.#first = 0
  }

  #drop ({ message, place }: Entry): void {
    this.#entries[this.#first++] = undefined
    this.#firstNumber++
    this.#bytes -= message.bytes
    this.#trimmed.set(place.channel, place)
  }
}
