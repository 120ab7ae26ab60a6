import type { ChannelName } from '../../../schemas/channels/index.js'
import type { HubMetrics } from '../metrics.js'
import { MessageQueues } from './message-queues.js'
import type { CatchUp, LogRestart, SubscriptionState } from './catch-up.js'
import { LogReader, type LogReaderDeps } from './log-reader.js'
import type { RequestBudget } from './request-budget.js'
import type { TurnWork } from './turn-work.js'
import type { LoggedMessage, LogPosition, Message } from '../wire/message.js'

export interface SharedPendingDeps extends Pick<LogReaderDeps, 'log' | 'snapshots' | 'fits'> {
  metrics: HubMetrics
  scheduler: { readonly work: TurnWork }
}

export interface PendingDeps {
  shared: SharedPendingDeps
  /** The subscribed channels of the connection. */
  subscriptions: Map<ChannelName, SubscriptionState>
  /** Limits the snapshots that replace trimmed and dropped messages. */
  budget?: RequestBudget
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
  readonly #onReady: () => void
  #reader: LogReader | undefined

  /** `onReady` is called when the next message can be taken after `isWaiting`. */
  constructor (deps: PendingDeps, onReady: () => void) {
    this.#deps = deps
    this.#onReady = onReady
  }

  /** Whether the next message is still being made. */
  get isWaiting (): boolean { return this.#reader?.isRecovering === true }

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

  /**
   * Drops the pending messages that no longer match the selection of a channel, because the rights of the client have
   * changed. A snapshot that was not sent completely is replaced by a new one.
   */
  recheck (channel: ChannelName): void {
    const { shared: { fits }, subscriptions } = this.#deps
    const { filter } = subscriptions.get(channel)!
    this.#queues.keepOnly((message) => message.channel !== channel || fits(message, filter))
    if (this.#queues.dropSnapshot(channel)) (this.#reader ?? this.#startReader()).replace(channel)
    else this.#reader?.recheck(channel)
  }

  /** A snapshot of the channel is sent next, after a gap. */
  restart (channel: ChannelName, restart: LogRestart): void {
    (this.#reader ?? this.#startReader()).restart(channel, restart)
  }

  /** The offset of the last message of a channel that was sent; Infinity if none is pending. */
  lastSent (channel: ChannelName): number {
    if (this.#reader !== undefined) return this.#reader.lastSent(channel)
    const first = this.#queues.reliable.find((message) => message.channel === channel)
    return first === undefined ? Infinity : first.position.offset - 1
  }

  /** Takes the next messages to send, of about `maxBytes`. */
  take (maxBytes: number): Message[] {
    const messages: Message[] = []
    for (let bytes = 0; bytes < maxBytes;) {
      const message = this.#next()
      if (message === undefined) break
      messages.push(message)
      bytes += message.bytes
    }
    return messages
  }

  /** Takes all replies. */
  takeReplies (): Message[] {
    const replies: Message[] = []
    for (let reply = this.#queues.takeControl(); reply !== undefined; reply = this.#queues.takeControl()) {
      replies.push(reply)
    }
    return replies
  }

  #next (): Message | undefined {
    const control = this.#queues.takeControl()
    if (control !== undefined) return control
    if (this.#reader !== undefined) {
      const missed = this.#reader.next()
      if (missed !== undefined || this.#reader.isRecovering) return missed
      this.#reader = undefined
    }
    return this.#queues.takeReliable() ?? this.#queues.takeReplaceable()
  }

  /** Gives up what is still being made. */
  close (): void {
    this.#reader?.close()
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
    const { log, snapshots, fits, scheduler } = this.#deps.shared
    const unsent = this.#unsentPositions()
    this.#queues.dropReliable()
    return (this.#reader = new LogReader({
      log,
      snapshots,
      fits,
      subscriptions: this.#deps.subscriptions,
      unsent,
      work: scheduler.work,
      onReady: this.#onReady,
      budget: this.#deps.budget,
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
