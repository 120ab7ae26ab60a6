import { systemClock } from '../../base/clock.js'
import { Batch } from './batch.js'
import type { DeliveryMeter } from './delivery-meter.js'
import { SharedBatch, type Members } from './shared-batch.js'
import { TurnWork } from './turn-work.js'
import { WriteQueue } from './write-queue.js'
import { Message } from '../wire/message.js'

export interface Flushable {
  /** Called at the end of the tick: puts the collected messages into `writes`, or writes them at once. */
  flush (writes: WriteQueue): void
  /** Makes one write of pending messages. Returns its bytes; 0 if nothing can be written now. */
  writePending (): number
}

/** A larger batch is flushed before the tick ends, so that a burst of messages in one tick needs bounded memory. */
const MAX_BATCH_BYTES = 262_144
/**
 * The cost of writing pending messages to all slow connections in one turn of the event loop; about 10 ms. Creating a
 * message costs 1, and so do as many bytes, of messages that are created or that are shared.
 */
const MAX_PENDING_COST = 3_000
const CREATED_BYTES_PER_COST = 1_024
const SHARED_BYTES_PER_COST = 8_192
/** Writes of one slow connection in a row, before others get their turn. */
const MAX_WRITES = 16

/**
 * Collects the outboxes that have something to send and flushes all of them at the end of the tick. However many
 * messages are published in a tick, each connection costs one write.
 */
export class FlushScheduler {
  readonly work = new TurnWork()
  readonly #writes = new WriteQueue()
  readonly #sharedBatches = new Map<Members, SharedBatch>()
  #scheduled: Flushable[] = []
  /** Connections with pending messages, in the order of their turns. */
  readonly #slow = new Set<Flushable>()
  #pendingCost = 0
  readonly #onFlush: (ms: number) => void
  readonly #meter: DeliveryMeter
  #bytes = 0
  #root = new Batch()
  #immediate: NodeJS.Immediate | undefined

  /** `onFlush` receives the time that the writes of a tick took, in ms; `meter` counts the messages they have sent. */
  constructor (onFlush: (ms: number) => void, meter: DeliveryMeter) {
    this.#onFlush = onFlush
    this.#meter = meter
  }

  /** The empty batch that every outbox starts from in this tick. */
  get root (): Batch { return this.#root }

  /** Flushes `outbox` at the end of this tick. */
  schedule (outbox: Flushable): void {
    this.#scheduled.push(outbox)
    this.#wake()
  }

  /**
   * Writes the pending messages of `outbox`, as far as this turn of the event loop allows; the rest in the next ones.
   * All slow connections take turns, so that those that read again together delay nobody.
   */
  schedulePending (outbox: Flushable): void {
    this.#slow.add(outbox)
    this.#writePending()
  }

  /** Sends a message to all members; the same set of members shares one batch per tick. */
  send (message: Message, members: Members): void {
    const shared = this.#sharedBatches.get(members)
    if (shared !== undefined) shared.add(message, members)
    else this.#sharedBatches.set(members, new SharedBatch(this.#root.add(message), message, members))
  }

  /** To be called after a message was sent to all its receivers; flushes at once if the batch has become too large. */
  countSent (message: Message): void {
    this.#bytes += message.bytes
    if (this.#bytes > MAX_BATCH_BYTES) this.flush()
  }

  /** Flushes all scheduled outboxes now. */
  flush (): void {
    clearImmediate(this.#immediate)
    this.#immediate = undefined
    this.#root = new Batch()
    this.#sharedBatches.clear()
    this.#bytes = 0
    const startedAt = systemClock.monotonic()
    const outboxes = this.#scheduled
    this.#scheduled = []
    for (let at = 0; at < outboxes.length; at++) outboxes[at]!.flush(this.#writes)
    this.#writes.flush()
    this.#meter.endTick()
    if (outboxes.length > 0) this.#onFlush(systemClock.monotonic() - startedAt)
    this.#pendingCost = 0
    this.#writePending()
  }

  #writePending (): void {
    for (const outbox of this.#slow) {
      if (this.#pendingCost >= MAX_PENDING_COST) break
      // To the end, if it has more to write.
      this.#slow.delete(outbox)
      if (this.#writeSome(outbox)) this.#slow.add(outbox)
    }
    if (this.#pendingCost > 0) this.#wake()
  }

  // Returns whether there is more to write.
  #writeSome (outbox: Flushable): boolean {
    for (let writes = 0; writes < MAX_WRITES && this.#pendingCost < MAX_PENDING_COST; writes++) {
      const createdBefore = Message.createdCount
      const bytes = outbox.writePending()
      if (bytes === 0) return false
      const created = Message.createdCount - createdBefore
      this.#pendingCost += created + bytes / (created > 0 ? CREATED_BYTES_PER_COST : SHARED_BYTES_PER_COST)
    }
    return true
  }

  #wake (): void {
    this.#immediate ??= setImmediate(() => this.flush())
  }
}
