import type { ChannelName } from '../../../schemas/channels/index.js'
import type { Batch } from './batch.js'
import type { SharedBatch, Member } from './shared-batch.js'
import type { CatchUp, LogRestart } from './catch-up.js'
import { PendingMessages, type PendingDeps, type SharedPendingDeps } from './pending-messages.js'
import type { Message } from '../wire/message.js'
import type { Flushable, FlushScheduler } from './flush-scheduler.js'
import { WriteQueue, type FrameWriter } from './write-queue.js'

/** Shared by all outboxes of a hub. */
export interface SharedOutboxDeps extends SharedPendingDeps {
  scheduler: FlushScheduler
  /** Called when messages start to be pending; `checkProgress` must be called regularly from then on. */
  onBackpressure: () => void
}

export interface OutboxDeps extends PendingDeps {
  writer: FrameWriter
  shared: SharedOutboxDeps
  /** Called once, when the control messages exceed their limit or the peer has stalled. The outbox is to be closed. */
  onOverflow: () => void
}

/** Above this many buffered bytes, messages stay pending, where newer ones may still replace them. */
export const HIGH_WATER_BYTES = 65_536
/** A catch-up within these limits is sent at once, together with everything else in the tick. */
const MAX_DIRECT_BYTES = 131_072
const MAX_DIRECT_MESSAGES = 512
/** A connection with pending messages that takes no byte for this long has stalled. */
const STALLED_MS = 30_000

/**
 * The messages on their way to one connection. While the connection keeps up, all messages of a tick are written
 * together at its end, in the order in which they were sent. When it does not, they become pending.
 *
 * Promises: reliable messages arrive once and in order, or the client receives a `subscription_gap`; a replaceable
 * message is never followed by an older one with the same key; the memory for pending messages is bounded and shared
 * between connections; nothing is sent after `close`.
 */
export class Outbox implements Flushable, Member {
  // Fields that every delivery reads come first, so that they share a cache line. With thousands of connections, memory
  // access dominates the cost of a delivery.
  #batch: Batch | undefined
  #sharedBatch: SharedBatch | undefined
  // Only set while messages are pending: a connection that keeps up needs no memory for it.
  #pending: PendingMessages | undefined
  #isClosed = false
  readonly #writer: FrameWriter
  readonly #shared: SharedOutboxDeps
  #writtenBytes = 0
  readonly #deps: OutboxDeps
  #acceptedBytes = 0
  #acceptedAt = 0
  #checkedAt = 0

  constructor (deps: OutboxDeps) {
    this.#deps = deps
    this.#writer = deps.writer
    this.#shared = deps.shared
  }

  /** Whether messages are pending because the peer does not read fast enough. */
  get hasBackpressure (): boolean { return this.#pending !== undefined }

  /** Whether the connection is so far behind that it reads from the log. */
  get isLagging (): boolean { return this.#pending?.isLagging === true }

  /** The bytes of all pending messages, which other connections may share. */
  get pendingBytes (): number { return this.#pending?.bytes ?? 0 }

  send (message: Message): void {
    if (this.#isClosed) return
    if (this.#pending !== undefined) return this.#put(this.#pending, message)
    this.#detach()
    if (this.#batch === undefined) {
      this.#batch = this.#shared.scheduler.root
      this.#shared.scheduler.schedule(this)
    }
    this.#batch = this.#batch.add(message)
  }

  joinShared (shared: SharedBatch): boolean {
    if (this.#isClosed || this.#pending !== undefined) return false
    if (this.#batch !== undefined || this.#sharedBatch !== undefined) return false
    this.#sharedBatch = shared
    this.#shared.scheduler.schedule(this)
    return true
  }

  isMemberOf (shared: SharedBatch): boolean { return this.#sharedBatch === shared }

  flush (writes: WriteQueue): void {
    const batch = this.#sharedBatch?.batch ?? this.#batch
    this.#batch = this.#sharedBatch = undefined
    if (this.#isClosed) return
    if (this.#pending !== undefined) return this.#shared.scheduler.schedulePending(this)
    if (batch === undefined) return
    const bytes = this.#writer.write(batch, writes)
    if (bytes < 0) this.#startPending(batch)
    else this.#count(batch.count, bytes, batch)
  }

  /** To be called when the system has taken the buffered bytes. */
  drained (): void { if (this.#pending !== undefined) this.#shared.scheduler.schedulePending(this) }

  writePending (): number {
    if (this.#pending === undefined || this.#writer.bufferedBytes >= HIGH_WATER_BYTES) return 0
    const { isLagging } = this
    const messages = this.#pending.take(HIGH_WATER_BYTES)
    if (messages.length > 0) return this.#writeAll(messages, !isLagging)
    if (!this.#pending.isWaiting) this.#pending = undefined
    return 0
  }

  /** Sends what is missing of a channel that was just subscribed to. A large catch-up is sent step by step. */
  catchUp (channel: ChannelName, missing: CatchUp): void {
    const { log, fits, snapshots: { copies } } = this.#shared
    const { subscriptions } = this.#deps
    const { filter } = subscriptions.get(channel)!
    const { snapshot } = missing
    const logged = [...log.from(channel, missing.start.sequence)].filter((message) => fits(message, filter))
    if (this.#isClosed) return
    const isDirect = this.#isDirect(snapshot) && this.#isDirect([...snapshot, ...logged])
    if (!isDirect) return this.#ensurePending().catchUp(channel, missing)
    const delivery = copies.begin(subscriptions)
    for (const body of snapshot) this.send(copies.message(body, delivery))
    for (const message of logged) this.send(message)
  }

  /** Drops the messages of a channel that is unsubscribed from. */
  dropChannel (channel: ChannelName): void {
    this.#detach()
    // The messages of this tick must not mix with those of a new subscription. They are sent now or, if the peer is
    // slow, never.
    if (this.#batch?.messages().some((message) => message.channel === channel) === true) this.#flushNow()
    this.#shared.metrics.replacedTotal += this.#pending?.dropChannel(channel) ?? 0
  }

  /** Drops what the client may no longer see of a channel. */
  recheck (channel: ChannelName): void {
    this.#detach()
    this.#flushNow()
    this.#pending?.recheck(channel)
  }

  /** Replaces what the client knows of a channel: a `subscription_gap` and a snapshot are sent next. */
  restart (channel: ChannelName, { cause, after }: LogRestart): void {
    if (this.#isClosed) return
    const lastSent = this.#pending?.lastSent(channel) ?? Infinity
    this.dropChannel(channel)
    this.#ensurePending().restart(channel, { cause, after: Math.min(after, lastSent) })
  }

  /** Writes all messages, however slow the peer is; to be called right before the close frame. */
  flushAll (): void { this.#flushPending((pending) => pending.take(Infinity)) }

  /** The same for replies alone, if messages are pending. */
  flushReplies (): void { this.#flushPending((pending) => pending.takeReplies()) }

  /** Detects a stalled peer. `now` is in ms of the monotonic clock. */
  checkProgress (now: number): void {
    if (this.#pending === undefined) return
    if (this.isLagging) this.#shared.metrics.laggingMs += now - Math.max(this.#checkedAt, this.#acceptedAt)
    this.#checkedAt = now
    this.drained()
    const acceptedBytes = this.#writtenBytes - this.#writer.bufferedBytes
    if (acceptedBytes !== this.#acceptedBytes || this.#acceptedAt === 0) {
      this.#acceptedBytes = acceptedBytes
      this.#acceptedAt = now
    } else if (now - this.#acceptedAt >= STALLED_MS) this.#deps.onOverflow()
  }

  /** Drops all messages and accepts no more. */
  close (): void {
    this.#detach()
    this.#isClosed = true
    this.#shared.metrics.droppedTotal += this.#pending?.count ?? 0
    this.#pending?.close()
    this.#batch = this.#pending = undefined
  }

  #isDirect (messages: ReadonlyArray<{ readonly bytes: number }>): boolean {
    if (this.isLagging || messages.length > MAX_DIRECT_MESSAGES) return false
    return messages.reduce((sum, { bytes }) => sum + bytes, this.#batch?.bytes ?? 0) <= MAX_DIRECT_BYTES
  }

  #flushPending (take: (pending: PendingMessages) => Message[]): void {
    this.#detach()
    this.#flushNow()
    const messages = this.#pending === undefined ? [] : take(this.#pending)
    if (messages.length > 0) this.#writeAll(messages, false)
  }

  #flushNow (): void {
    const writes = new WriteQueue()
    this.flush(writes)
    writes.flush()
  }

  #detach (): void {
    if (this.#sharedBatch === undefined) return
    this.#batch = this.#sharedBatch.detach()
    this.#sharedBatch = undefined
  }

  // Replies do not wait for a snapshot, and the socket may have nothing to drain.
  #put (pending: PendingMessages, message: Message): void {
    pending.put(message)
    if (pending.isWaiting && message.channel === undefined) this.drained()
  }

  // From now on messages become pending; they are written from the end of the tick on.
  #ensurePending (): PendingMessages {
    if (this.#pending !== undefined) return this.#pending
    this.#detach()
    const batch = this.#batch ?? this.#shared.scheduler.root
    if (this.#batch === undefined) this.#shared.scheduler.schedule(this)
    this.#batch = undefined
    return this.#startPending(batch)
  }

  #startPending (batch: Batch): PendingMessages {
    const pending = this.#pending = new PendingMessages(this.#deps, () => this.drained())
    this.#acceptedAt = 0
    this.#shared.onBackpressure()
    // From here on replies overtake other messages. Without this check, messages of a channel that the client left in
    // this tick would follow the reply to its `unsubscribe`.
    for (const message of batch.messages()) if (this.#isSubscribed(message)) pending.put(message)
    return pending
  }

  #isSubscribed ({ channel, position }: Message): boolean {
    if (channel === undefined) return true
    const subscription = this.#deps.subscriptions.get(channel)
    return subscription !== undefined && (position === undefined || position.sequence >= subscription.sequence)
  }

  #writeAll (messages: readonly Message[], isMeasured: boolean): number {
    this.#shared.metrics.delivery.wrotePending(messages, isMeasured)
    return this.#count(messages.length, this.#writer.writeAll(messages))
  }

  #count (messages: number, bytes: number, batch?: Batch): number {
    if (batch !== undefined) this.#shared.metrics.delivery.wrote(batch)
    this.#shared.metrics.messagesSentTotal += messages
    this.#shared.metrics.bytesSentTotal += bytes
    this.#writtenBytes += bytes
    return bytes
  }
}
