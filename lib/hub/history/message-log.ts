import { randomBytes } from 'node:crypto'
import type { ChannelName } from '../../../schemas/channels/index.js'
import type { Cursor } from '../../../schemas/messages/envelope.js'
import type { Clock } from '../../base/clock.js'
import type { MessagePosition, Message } from '../wire/message.js'

export interface HistoryBounds { maxMessages: number, maxBytes: number, maxAgeMs: number }

interface Entry { message: Message, position: MessagePosition, at: number }

/** What is known of one channel: its last message, the last one that is no longer kept, and where the kept ones are. */
interface ChannelTrack {
  head: { offset: number, id: string }
  trimmed: { offset: number, sequence: number, id: string }
  /** Numbers of the messages after the trimmed one, from `first` on, by their offsets. */
  sequences: number[]
  first: number
}

/** Moving heads of queues: how much of an array may be unused before what is left moves to its front. */
const LEAST_UNUSED = 1_024

/**
 * The recent messages that must arrive, of all channels in the order of their publication. Each has an offset, contiguous within its
 * channel and counted from 1, and a number, contiguous over all. Bounded by count, bytes and age; the oldest goes first.
 */
export class MessageLog {
  /** Names this log: offsets of another process mean nothing here. */
  readonly epoch = randomBytes(9).toString('base64url')

  readonly #clock: Clock
  readonly #bounds: HistoryBounds
  readonly #tracks = new Map<ChannelName, ChannelTrack>()
  // A queue with a moving head: shift() on a long array would move all of it for every message.
  #entries: Array<Entry | undefined> = []
  #first = 0
  #firstSequence = 1
  #nextSequence = 1
  #bytes = 0

  constructor (clock: Clock, bounds: HistoryBounds) {
    this.#clock = clock
    this.#bounds = bounds
  }

  /** The number that the next message will have. */
  get nextSequence (): number { return this.#nextSequence }

  /** The number of the oldest message that is kept, or `nextNumber` if none is. */
  get firstSequence (): number { return this.#firstSequence }

  /** Bytes and messages that are kept. */
  get size (): { bytes: number, messages: number } { return { bytes: this.#bytes, messages: this.#nextSequence - this.#firstSequence } }

  /** The last offset of a channel; 0 before its first message. */
  head (channel: ChannelName): number { return this.#track(channel).head.offset }

  /** The place behind the last message of a channel. */
  cursor (channel: ChannelName): Cursor {
    return { epoch: this.epoch, ...this.#track(channel).head }
  }

  /** The last message of a channel that is no longer kept; its offset is 0 if all are. */
  trimmed (channel: ChannelName): { readonly offset: number, readonly sequence: number } { return this.#track(channel).trimmed }

  /** The id of the message at this offset; `undefined` where it is not known any more or not yet. */
  idAt (channel: ChannelName, offset: number): string | undefined {
    const { head, trimmed } = this.#track(channel)
    if (offset === trimmed.offset) return trimmed.id
    return offset > trimmed.offset && offset <= head.offset ? this.get(this.sequenceAfter(channel, offset - 1)).id : undefined
  }

  /** The number of the first message of a channel after this offset, or `nextNumber`; the offset must not be below the trimmed one. */
  sequenceAfter (channel: ChannelName, offset: number): number {
    const { trimmed, sequences, first } = this.#track(channel)
    return sequences[first + offset - trimmed.offset] ?? this.#nextSequence
  }

  /** The place of the message that is published next; to be given to `append`. */
  nextPosition (channel: ChannelName): MessagePosition {
    return { channel, offset: this.head(channel) + 1, sequence: this.#nextSequence }
  }

  append (message: Message, position: MessagePosition): void {
    const track = this.#track(position.channel)
    this.#entries.push({ message, position, at: this.#clock.monotonic() })
    track.head = { offset: position.offset, id: message.id }
    track.sequences.push(position.sequence)
    this.#nextSequence++
    this.#bytes += message.bytes
    this.trim()
  }

  /** The message with this number, which must be from `firstNumber` up to before `nextNumber`. */
  get (number: number): Message {
    return this.#entries[this.#first + number - this.#firstSequence]!.message
  }

  /** The kept messages of a channel from this number on. */
  * from (channel: ChannelName, number: number): Generator<Message, void, undefined> {
    const { sequences, first } = this.#track(channel)
    for (let at = this.#indexOf(sequences, first, number); at < sequences.length; at++) yield this.get(sequences[at]!)
  }

  /**
   * Ends the record of a channel: what happens to it from now on is not kept. Leaves out one offset, so that whoever comes back can tell that
   * something may be missing.
   */
  interrupt (channel: ChannelName): void {
    const offset = this.head(channel) + 1
    this.#tracks.set(channel, {
      head: { offset, id: '' },
      trimmed: { offset, sequence: this.#nextSequence - 1, id: '' },
      sequences: [],
      first: 0
    })
  }

  /** Drops all that is kept; to be called when no channel is recorded. */
  clear (): void {
    while (this.#firstSequence < this.#nextSequence) this.#drop(this.#entries[this.#first]!)
    this.#compact()
  }

  /** Drops what is beyond the bounds. */
  trim (): void {
    const { maxMessages, maxBytes, maxAgeMs } = this.#bounds
    const oldestAt = this.#clock.monotonic() - maxAgeMs
    for (let oldest = this.#entries[this.#first]; oldest !== undefined; oldest = this.#entries[this.#first]) {
      if (this.#entries.length - this.#first <= maxMessages && this.#bytes <= maxBytes && oldest.at >= oldestAt) break
      this.#drop(oldest)
    }
    this.#compact()
  }

  #compact (): void {
    if (this.#first < LEAST_UNUSED || this.#first * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#first)
    this.#first = 0
  }

  #drop ({ message, position }: Entry): void {
    this.#entries[this.#first++] = undefined
    this.#firstSequence++
    this.#bytes -= message.bytes
    const track = this.#track(position.channel)
    // Of a record that was ended since then nothing is known any more.
    if (position.offset <= track.trimmed.offset) return
    track.trimmed = { offset: position.offset, sequence: position.sequence, id: message.id }
    track.first++
    if (track.first < LEAST_UNUSED || track.first * 2 < track.sequences.length) return
    track.sequences = track.sequences.slice(track.first)
    track.first = 0
  }

  #track (channel: ChannelName): ChannelTrack {
    let track = this.#tracks.get(channel)
    if (track === undefined) {
      track = { head: { offset: 0, id: '' }, trimmed: { offset: 0, sequence: 0, id: '' }, sequences: [], first: 0 }
      this.#tracks.set(channel, track)
    }
    return track
  }

  // The place of the first number in a sorted list that is not below `number`.
  #indexOf (numbers: readonly number[], first: number, number: number): number {
    let low = first
    let high = numbers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (numbers[middle]! < number) low = middle + 1
      else high = middle
    }
    return low
  }
}
