import { randomBytes } from 'node:crypto'
import type { ChannelName } from '../../../schemas/channels/index.js'
import type { Cursor } from '../../../schemas/messages/envelope.js'
import type { Clock } from '../../base/clock.js'
import type { Holder } from '../../base/limits/fair-share.js'
import { Queue } from '../../base/queue.js'
import type { LoggedMessage, LogPosition } from '../wire/message.js'
import type { LogBudget } from './log-budget.js'

export interface MessageLogOptions { maxMessages: number, maxBytes: number, maxAgeMs: number }

export interface MessageLogDeps {
  clock: Clock
  /** With a budget, the limits of this one log. */
  options: MessageLogOptions
  /** What many logs share. */
  budget?: LogBudget | undefined
  /** A random one by default. */
  epoch?: string | undefined
}

interface Entry { message: LoggedMessage, loggedAt: number }

/** The part of a budget that a log has. */
interface Share { budget: LogBudget, holder: Holder }

interface ChannelHistory {
  /** The last message. */
  head: { offset: number, id: string }
  /** The last message that was dropped from the log. */
  trimmed: LogPosition & { id: string }
  /** The sequences of the messages in the log, which are those after the trimmed one, by offset. */
  sequences: Queue<number>
}

/**
 * The recent reliable messages of all channels, in the order of publication.
 *
 * Promises: offsets are contiguous within a channel and start at 1; sequences are contiguous over all channels;
 * messages are dropped from the oldest on, as soon as their number, bytes or age exceed the options.
 */
export class MessageLog {
  /** Identifies the offsets: those of another epoch are meaningless here. */
  epoch: string

  readonly #clock: Clock
  readonly #options: MessageLogOptions
  readonly #channels = new Map<ChannelName, ChannelHistory>()
  readonly #entries = new Queue<Entry>()
  readonly #share: Share | undefined
  #nextSequence = 1
  #bytes = 0

  constructor ({ clock, options, budget, epoch }: MessageLogDeps) {
    this.epoch = epoch ?? randomBytes(9).toString('base64url')
    this.#clock = clock
    this.#options = options
    this.#share = budget && this.#takeShare(budget)
  }

  /** The sequence of the next message to be published. */
  get nextSequence (): number { return this.#nextSequence }

  /** The sequence of the oldest message in the log, or `nextSequence` if the log is empty. */
  get firstSequence (): number { return this.#nextSequence - this.#entries.length }

  get size (): { bytes: number, messages: number } { return { bytes: this.#bytes, messages: this.#entries.length } }

  /** The last offset of a channel; 0 before its first message. */
  head (channel: ChannelName): number { return this.#history(channel).head.offset }

  /** The cursor of a client that has received the last message of a channel. */
  cursor (channel: ChannelName): Cursor {
    return { epoch: this.epoch, ...this.#history(channel).head }
  }

  /** The position of the last message of a channel that was dropped from the log; offset 0 if none was. */
  trimmed (channel: ChannelName): Readonly<LogPosition> { return this.#history(channel).trimmed }

  /** The id of the message at this offset; `undefined` if it is older than the trimmed one or not published yet. */
  idAt (channel: ChannelName, offset: number): string | undefined {
    const { head, trimmed } = this.#history(channel)
    if (offset === trimmed.offset) return trimmed.id
    if (offset < trimmed.offset || offset > head.offset) return undefined
    return this.get(this.sequenceAfter(channel, offset - 1)).id
  }

  /**
   * The sequence of the first message of a channel after this offset, or `nextSequence`. The offset must not be below
   * the trimmed one.
   */
  sequenceAfter (channel: ChannelName, offset: number): number {
    const { trimmed, sequences } = this.#history(channel)
    return sequences.at(offset - trimmed.offset) ?? this.#nextSequence
  }

  /**
   * The position for the next message of a channel, which must be the next one that is appended. A shared log has
   * decided its `offset`.
   */
  nextPosition (channel: ChannelName, offset = this.head(channel) + 1): LogPosition {
    return { offset, sequence: this.#nextSequence }
  }

  /** `at` is when the message was published, in ms since 1970; now by default. */
  append (message: LoggedMessage, at?: number): void {
    const { channel, position, id } = message
    const history = this.#history(channel)
    this.#entries.push({ message, loggedAt: this.#clock.monotonic() - this.#ageOf(at) })
    history.head = { offset: position.offset, id }
    history.sequences.push(position.sequence)
    this.#nextSequence++
    this.#bytes += message.bytes
    this.#share?.budget.changed(1, message.bytes)
    this.trim()
    this.#share?.budget.enforce()
  }

  /** The message with this sequence, which must be at least `firstSequence` and below `nextSequence`. */
  get (sequence: number): LoggedMessage {
    return this.#entries.at(sequence - this.firstSequence)!.message
  }

  /** The messages of a channel in the log, from this sequence on. The log must not change meanwhile. */
  * from (channel: ChannelName, sequence: number): Generator<LoggedMessage, void, undefined> {
    const { sequences } = this.#history(channel)
    const first = sequences.findIndexSorted((candidate) => candidate >= sequence)
    for (let index = first; index < sequences.length; index++) yield this.get(sequences.at(index)!)
  }

  /** Begins the history of a channel after this message; its first message is appended next. */
  begin (channel: ChannelName, { offset, id }: { offset: number, id: string }): void {
    this.#channels.set(channel, {
      head: { offset, id },
      trimmed: { offset, sequence: this.#nextSequence - 1, id },
      sequences: new Queue()
    })
  }

  /**
   * Ends the history of a channel, because from now on its messages are not recorded. Skips one offset, so that a
   * client that reconnects can tell that messages may be missing.
   */
  interrupt (channel: ChannelName): void {
    this.begin(channel, { offset: this.head(channel) + 1, id: '' })
  }

  /** Drops all messages; to be called when no channel is recorded. */
  clear (): void {
    while (this.#entries.length > 0) this.#dropOldest()
  }

  /** Drops all messages for good: the log is not used any more. */
  close (): void {
    this.clear()
    this.#share?.budget.leave(this.#share.holder)
  }

  /** Drops the messages that exceed the options. */
  trim (): void {
    const { maxMessages, maxBytes, maxAgeMs } = this.#options
    const oldestAt = this.#clock.monotonic() - maxAgeMs
    for (let oldest = this.#entries.first; oldest !== undefined; oldest = this.#entries.first) {
      const isWithin = this.#entries.length <= maxMessages && this.#bytes <= maxBytes && oldest.loggedAt >= oldestAt
      if (isWithin) return
      this.#dropOldest()
    }
  }

  #ageOf (at: number | undefined): number {
    return at === undefined ? 0 : Math.max(0, this.#clock.now() - at)
  }

  #takeShare (budget: LogBudget): Share {
    const weight = () => budget.weigh(this.#entries.length, this.#bytes)
    const holder = {
      get size () { return weight() },
      shrinkTo: (size: number) => { while (weight() > size) this.#dropOldest() }
    }
    budget.join(holder)
    return { budget, holder }
  }

  #dropOldest (): void {
    const { message } = this.#entries.shift()!
    const { channel, position, id } = message
    this.#bytes -= message.bytes
    this.#share?.budget.changed(-1, -message.bytes)
    const history = this.#history(channel)
    // The history of the channel was ended after this message, and knows nothing of it any more.
    if (position.sequence <= history.trimmed.sequence) return
    history.trimmed = { ...position, id }
    history.sequences.shift()
  }

  #history (channel: ChannelName): ChannelHistory {
    let history = this.#channels.get(channel)
    if (history === undefined) {
      const trimmed = { offset: 0, sequence: 0, id: '' }
      history = { head: { offset: 0, id: '' }, trimmed, sequences: new Queue() }
      this.#channels.set(channel, history)
    }
    return history
  }
}
