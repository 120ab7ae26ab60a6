import type { Message } from '../wire/message.js'
import type { Writable } from './batch.js'

/** What an outbox writes to. */
export interface FrameWriter {
  /** Bytes that were written but not yet taken by the system. */
  readonly bufferedBytes: number
  /**
   * Puts one write of a batch into `writes`, or writes it at once. Returns its bytes; -1 if the peer is too slow and
   * nothing was written.
   */
  write (batch: Writable, writes: WriteQueue): number
  /** Writes messages in one go, without copying them into one buffer. Returns their bytes. */
  writeAll (messages: readonly Message[]): number
}

/** The part of a socket that is needed to write to it. */
export interface ByteStream { write (bytes: Buffer): unknown }

/**
 * The writes of one tick. All of them are collected first and made afterwards, because each system call evicts our
 * connection state from the CPU caches: one pass over all connections costs a tenth of loading each of them anew after
 * every write.
 */
export class WriteQueue {
  // Never shrunk: growing the arrays anew in every tick costs more than filling them.
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
