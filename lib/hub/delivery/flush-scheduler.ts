import { systemClock } from '../../base/clock.js'
import { Batch } from './batch.js'
import { SharedBatch, type Members } from './shared-batch.js'
import type { Message } from '../wire/message.js'

/** Whoever collects messages in a turn. */
export interface Flushable {
  /** The turn has ended: what was collected is put into `writes`, or handed over at once. */
  flush (writes: WriteQueue): void
}

/** The little of a socket that is needed to write to it. */
export interface ByteStream { write (bytes: Buffer): unknown }

/**
 * The writes of one turn. First all are collected and then all are made: a system call drives what we know of a connection out of the
 * processor's caches, and going through all connections in one go first costs a tenth of fetching it anew after each.
 */
export class WriteQueue {
  // They keep their room from turn to turn: to grow anew costs more than to fill.
  readonly #streams: Array<ByteStream | undefined> = []
  readonly #buffers: Array<Buffer | undefined> = []
  #count = 0

  add (stream: ByteStream, bytes: Buffer): void {
    this.#streams[this.#count] = stream
    this.#buffers[this.#count++] = bytes
  }

  /** Makes all writes. */
  flush (): void {
    const streams = this.#streams
    const buffers = this.#buffers
    const count = this.#count
    this.#count = 0
    for (let at = 0; at < count; at++) {
      const stream = streams[at]!
      const bytes = buffers[at]!
      streams[at] = buffers[at] = undefined
      stream.write(bytes)
    }
  }
}

/** Above this a batch leaves before the turn has ended, so that a burst of the host cannot pile up without bound. */
const LARGEST_BATCH_BYTES = 262_144

/**
 * One turn of the event loop: collects who has something to send, and has all of them send it when the turn has ended, so that however
 * many messages were published in it, each connection costs one write.
 */
export class FlushScheduler {
  readonly #writes = new WriteQueue()
  readonly #sharedBatches = new Map<Members, SharedBatch>()
  #scheduled: Flushable[] = []
  readonly #onFlush: (ms: number) => void
  #bytes = 0
  #root = new Batch()
  #immediate: NodeJS.Immediate | undefined

  /** `onEnd` is told how long the writes of a turn took, in ms. */
  constructor (onEnd: (ms: number) => void) {
    this.#onFlush = onEnd
  }

  /** The empty batch that all of this turn begin with. */
  get root (): Batch { return this.#root }

  /** Has `collector` flushed at the end of this turn. */
  schedule (collector: Flushable): void {
    this.#scheduled.push(collector)
    this.#immediate ??= setImmediate(() => this.flush())
  }

  /** Gives a message to all of these; the same ones share what they get in this turn. */
  send (message: Message, travellers: Members): void {
    const convoy = this.#sharedBatches.get(travellers)
    if (convoy !== undefined) convoy.add(message, travellers)
    else this.#sharedBatches.set(travellers, new SharedBatch(this.#root.add(message), message, travellers))
  }

  /** To be called after a message was given to all that get it; a large turn ends here. */
  countSent (message: Message): void {
    this.#bytes += message.bytes
    if (this.#bytes > LARGEST_BATCH_BYTES) this.flush()
  }

  /** Ends the turn now. */
  flush (): void {
    clearImmediate(this.#immediate)
    this.#immediate = undefined
    this.#root = new Batch()
    this.#sharedBatches.clear()
    this.#bytes = 0
    const startedAt = systemClock.monotonic()
    const collectors = this.#scheduled
    this.#scheduled = []
    for (let at = 0; at < collectors.length; at++) collectors[at]!.flush(this.#writes)
    this.#writes.flush()
    this.#onFlush(systemClock.monotonic() - startedAt)
  }
}
