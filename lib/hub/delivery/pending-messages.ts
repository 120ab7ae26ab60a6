import type { ChannelName } from '../../../schemas/channels/index.js'
import type { HubMetrics } from '../metrics.js'
import { MessageQueues } from './message-queues.js'
import { LogReader, type CatchUp, type LogReaderDeps, type SubscriptionState } from './log-reader.js'
import type { LoggedMessage, LogPosition, Message } from '../wire/message.js'

export interface SharedPendingDeps extends Pick<LogReaderDeps, 'log' | 'snapshots' | 'fits'> {
  metrics: HubMetrics
}

export interface PendingDeps {
  shared: SharedPendingDeps
  /** The subscribed channels of the connection. */
  subscriptions: Map<ChannelName, SubscriptionState>
  /** The limit for the bytes of control messages; the same limit applies separately to replaceable messages. */
  maxBytes: number
  /** Called when the control messages exceed their limit. */
  onOverflow: () => void
}

/**
 * Beyond either limit, reliable messages are not queued per connection any more: the connection reads them from the
 * log.
 */
const MAX_RELIABLE_BYTES = 262_144
const MAX_RELIABLE_MESSAGES = 1_024

/**
 * The pending messages of one slow connection and the order in which they are sent: control messages first, then
 * reliable messages (from the queue or, if the connection lags, from the log), then the newest replaceable message per
 * key. The memory is bounded, whatever is published.
 */
export class PendingMessages {
  readonly #deps: PendingDeps
  readonly #queues = new MessageQueues()
  #reader: LogReader | undefined

  constructor (deps: PendingDeps) {
    this.#deps = deps
  }

  get isLagging (): boolean { return this.#reader !== undefined }

  /** The bytes of all pending messages, which other connections may share. */
  get bytes (): number { return this.#queues.bytes }

  get count (): number { return this.#queues.count }

  put (message: Message): void {
    const { metrics } = this.#deps.shared
    const { supersedes, position, key } = message
    if (supersedes !== undefined && this.#queues.dropReplaceableKey(supersedes)) metrics.replacedTotal++
    if (position !== undefined) this.#putReliable(message as LoggedMessage)
    else if (key !== undefined) this.#putReplaceable(key, message)
    else this.#putControl(message)
  }

  /** Sends what is missing of a channel that was just subscribed to; reads it from the log. */
  catchUp (channel: ChannelName, missing: CatchUp): void {
    const reader = this.#reader ?? this.#startReader()
    reader.catchUp(channel, missing)
  }

  /** Drops the pending messages of a channel. Returns the number of replaceable ones. */
  dropChannel (channel: ChannelName): number {
    this.#reader?.dropChannel(channel)
    return this.#queues.dropChannel(channel)
  }

  /** Takes the next message to send; `undefined` when none is pending. */
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
    if (this.#queues.replace(key, message)) this.#deps.shared.metrics.replacedTotal++
    if (this.#queues.replaceableBytes <= this.#deps.maxBytes) return
    this.#startLagging().markOverflowed(this.#queues.dropReplaceable())
  }

  #putReliable (message: LoggedMessage): void {
    // A lagging connection reads the message from the log.
    if (this.#reader !== undefined) return
    this.#queues.pushReliable(message)
    const { reliableBytes, reliable } = this.#queues
    if (reliableBytes > MAX_RELIABLE_BYTES || reliable.length > MAX_RELIABLE_MESSAGES) this.#startLagging()
  }

  #startLagging (): LogReader {
    if (this.#reader !== undefined) return this.#reader
    this.#deps.shared.metrics.laggedTotal++
    return this.#startReader()
  }

  // The reader takes over the queued reliable messages too.
  #startReader (): LogReader {
    const { log, snapshots, fits } = this.#deps.shared
    const unsent = this.#unsentPositions()
    this.#queues.dropReliable()
    return (this.#reader = new LogReader({
      log,
      snapshots,
      fits,
      subscriptions: this.#deps.subscriptions,
      unsent,
      dropReplaceable: (channel) => this.#queues.dropReplaceableOf(channel)
    }))
  }

  // Per channel: the first queued message, or the next one to be published.
  #unsentPositions (): Map<ChannelName, LogPosition> {
    const { log } = this.#deps.shared
    const unsent = new Map<ChannelName, LogPosition>()
    for (const channel of this.#deps.subscriptions.keys()) unsent.set(channel, log.nextPosition(channel))
    for (const { channel, position } of this.#queues.reliable.toReversed()) unsent.set(channel, { ...position })
    return unsent
  }
}
