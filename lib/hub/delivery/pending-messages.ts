import type { ChannelName } from '../../../schemas/channels/index.js'
import type { Clock } from '../../base/clock.js'
import { MessageQueues } from './message-queues.js'
import { LogReader, type LogReaderDeps, type LogPosition, type SubscriptionState } from './log-reader.js'
import type { Message } from '../wire/message.js'

export interface SharedPendingDeps extends Pick<LogReaderDeps, 'log' | 'snapshots' | 'fits'> {
  clock: Clock
  counters: { replacedTotal: number, laggedTotal: number }
}

export interface PendingDeps {
  shared: SharedPendingDeps
  /** The channels of the connection, and what it wants of each. */
  subscriptions: Map<ChannelName, SubscriptionState>
  /** Bytes of replies, and of replaceable messages, that may wait. */
  maxBytes: number
  /** More replies wait than may. */
  onOverflow: () => void
}

/** How a client is brought up to date in a channel: `messages`, and then those of the log from `start` on. */
export interface CatchUp {
  start: LogPosition
  /** The offset of the first message that the client does not know until it has `messages`. */
  firstMissingOffset: number
  messages: readonly Message[]
}

/** Beyond either, the messages that must arrive are no longer kept for one connection: it reads them from the log. */
const MAX_RELIABLE_BYTES = 262_144
const MAX_RELIABLE_MESSAGES = 1_024

/**
 * What waits for one connection that does not keep up, and the order in which it will go: replies, then what must arrive, or, where that is too
 * much, a way through the log, and then of each replaceable kind the newest. Bounded, whatever is published.
 */
export class PendingMessages {
  readonly #deps: PendingDeps
  readonly #queues = new MessageQueues()
  #reader: LogReader | undefined

  constructor (setup: PendingDeps) {
    this.#deps = setup
  }

  get isLagging (): boolean { return this.#reader !== undefined }

  /** Bytes that wait here, of messages that others may share. */
  get bytes (): number { return this.#queues.bytes }

  get count (): number { return this.#queues.count }

  put (message: Message): void {
    const { counters } = this.#deps.shared
    if (message.supersedes !== undefined && this.#queues.dropReplaceableKey(message.supersedes)) counters.replacedTotal++
    if (message.position !== undefined) this.#putLogged(message)
    else if (message.key !== undefined) this.#putReplaceable(message.key, message)
    else this.#putControl(message)
  }

  /** Has the client brought up to date by way of the log. */
  catchUp (channel: ChannelName, how: CatchUp): void {
    const lag = this.#reader ?? this.#startReader()
    lag.catchUp(channel, how)
  }

  /** Drops what waits of a channel. Gives how many replaceable messages there were. */
  dropChannel (channel: ChannelName): number {
    this.#reader?.dropChannel(channel)
    return this.#queues.dropChannel(channel)
  }

  /** The next message to be sent; `undefined` when nothing waits. */
  next (): Message | undefined {
    const control = this.#queues.takeControl()
    if (control !== undefined) return control
    if (this.#reader !== undefined) {
      const missed = this.#reader.next()
      if (missed !== undefined) return missed
      this.#reader = undefined
    }
    return this.#queues.takeReliable() ?? this.#queues.takeReplaceable()
  }

  #putControl (message: Message): void {
    this.#queues.pushControl(message)
    if (this.#queues.controlBytes > this.#deps.maxBytes) this.#deps.onOverflow()
  }

  #putReplaceable (key: string, message: Message): void {
    if (this.#queues.replace(key, message)) this.#deps.shared.counters.replacedTotal++
    if (this.#queues.replaceableBytes <= this.#deps.maxBytes) return
    this.#startLagging().markOverflowed(this.#queues.dropReplaceable())
  }

  // A connection that lags finds the message in the log.
  #putLogged (message: Message): void {
    if (this.#reader !== undefined) return
    this.#queues.pushReliable(message)
    if (this.#queues.reliableBytes > MAX_RELIABLE_BYTES || this.#queues.reliable.length > MAX_RELIABLE_MESSAGES) this.#startLagging()
  }

  #startLagging (): LogReader {
    if (this.#reader !== undefined) return this.#reader
    this.#deps.shared.counters.laggedTotal++
    return this.#startReader()
  }

  // What waits of the log is given by it.
  #startReader (): LogReader {
    const { clock, log, snapshots, fits } = this.#deps.shared
    const unsent = this.#unsent()
    this.#queues.dropReliable()
    const dropOlderThan = (channel: ChannelName, creationIndex: number) => this.#queues.dropOlderThan(channel, creationIndex)
    return (this.#reader = new LogReader({ log, snapshots, fits, subscriptions: this.#deps.subscriptions, unsent, since: clock.monotonic(), dropOlderThan }))
  }

  // What is not sent of each channel begins with the first message that waits, or with the next one that is published.
  #unsent (): Map<ChannelName, LogPosition> {
    const { log } = this.#deps.shared
    const unsent = new Map<ChannelName, LogPosition>()
    for (const channel of this.#deps.subscriptions.keys()) unsent.set(channel, { sequence: log.nextSequence, offset: log.head(channel) + 1 })
    for (const { position } of this.#queues.reliable.toReversed()) unsent.set(position!.channel, { sequence: position!.sequence, offset: position!.offset })
    return unsent
  }
}
