import { systemClock } from '../../base/clock.js'
import { Batch } from './batch.js'
import { Convoy, type Travellers } from './shared-batch.js'
import type { Message } from '../wire/message.js'

/** Whoever collects messages in a turn. */
export interface Collector {
  /** The turn has ended: what was collected is put into `writes`, or handed over at once. */
  flush (writes: Writes): void
}

/** The little of a socket that is needed to write to it. */
export interface Stream { write (bytes: Buffer): unknown }

/**
 * The writes of one turn. First all are collected and then all are made: a system call drives what we know of a connection out of the
 * processor's caches, and going through all connections in one go first costs a tenth of fetching it anew after each.
 */
export class Writes {
  // They keep their room from turn to turn: to grow anew costs more than to fill.
  readonly #streams: Array<Stream | undefined> = []
  readonly #buffers: Array<Buffer | undefined> = []
  #count = 0

  add (stream: Stream, bytes: Buffer): void {
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
export class Turn {
  readonly #writes = new Writes()
  readonly #convoys = new Map<Travellers, Convoy>()
  #collectors: Collector[] = []
  readonly #onEnd: (ms: number) => void
  #bytes = 0
  #root = new Batch()
  #immediate: NodeJS.Immediate | undefined

  /** `onEnd` is told how long the writes of a turn took, in ms. */
  constructor (onEnd: (ms: number) => void) {
    this.#onEnd = onEnd
  }

  /** The empty batch that all of this turn begin with. */
  get root (): Batch { return this.#root }

  /** Has `collector` flushed at the end of this turn. */
  join (collector: Collector): void {
    this.#collectors.push(collector)
    this.#immediate ??= setImmediate(() => this.end())
  }

  /** Gives a message to all of these; the same ones share what they get in this turn. */
  give (message: Message, travellers: Travellers): void {
    const convoy = this.#convoys.get(travellers)
    if (convoy !== undefined) convoy.give(message, travellers)
    else this.#convoys.set(travellers, new Convoy(this.#root.add(message), message, travellers))
  }

  /** To be called after a message was given to all that get it; a large turn ends here. */
  sent (message: Message): void {
    this.#bytes += message.bytes
    if (this.#bytes > LARGEST_BATCH_BYTES) this.end()
  }

  /** Ends the turn now. */
  end (): void {
    clearImmediate(this.#immediate)
    this.#immediate = undefined
    this.#root = new Batch()
    this.#convoys.clear()
    this.#bytes = 0
    const startedAt = systemClock.monotonic()
    const collectors = this.#collectors
    this.#collectors = []
    for (let at = 0; at < collectors.length; at++) collectors[at]!.flush(this.#writes)
    this.#writes.flush()
    this.#onEnd(systemClock.monotonic() - startedAt)
  }
}
