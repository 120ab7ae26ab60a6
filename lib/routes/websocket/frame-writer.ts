import type { Socket as Stream } from 'node:net'
import type { WebSocket } from 'ws'
import type { Writable } from '../../hub/delivery/batch.js'
import type { Encoding, Message } from '../../hub/wire/message.js'
import type { Socket } from '../../hub/connections/connection.js'
import { HIGH_WATER_BYTES } from '../../hub/delivery/outbox.js'
import type { WriteQueue } from '../../hub/delivery/write-queue.js'

/**
 * Writes frames directly to the socket, because ws cannot send one encoded frame to several connections. Each write
 * consists of whole frames, so frames that ws writes by itself (pings, pongs, the close frame) never end up inside one.
 * If direct writes are not safe, the messages go through `send` of ws: while ws queues frames of its own, and if there
 * is no socket. Nothing is written while a fragmented message of the host is incomplete.
 */
export class WebSocketFrameWriter implements Socket {
  // Fields that every write reads come first, so that they are adjacent in memory.
  readonly #websocket: WebSocket
  readonly #stream: Stream | undefined
  readonly #encoding: Encoding
  #isShared = false
  readonly #onDrained: () => void
  readonly #send: WebSocket['send']
  #isFragmented = false

  /** `stream` is the socket under the WebSocket; `onDrained` is called when its buffer has been flushed. */
  constructor (websocket: WebSocket, stream: Stream | undefined, encoding: Encoding, onDrained: () => void) {
    this.#websocket = websocket
    this.#stream = stream
    this.#encoding = encoding
    this.#onDrained = onDrained
    this.#send = websocket.send.bind(websocket) as WebSocket['send']
    stream?.on('drain', onDrained)
    this.#watchSends()
  }

  // No other message may interrupt a fragmented message (RFC 6455 §5.4): until its last fragment the buffer counts as
  // full.
  get bufferedBytes (): number { return this.#isFragmented ? Infinity : this.#websocket.bufferedAmount }

  write (batch: Writable, writes: WriteQueue): number {
    const stream = this.#stream
    if (stream === undefined || !this.#isSafe(stream)) {
      return this.bufferedBytes >= HIGH_WATER_BYTES ? -1 : this.#sendEach(batch.messages())
    }
    if (stream.writableLength >= HIGH_WATER_BYTES) return -1
    const bytes = batch.encoded(this.#encoding)
    writes.add(stream, bytes)
    return bytes.length
  }

  writeAll (messages: readonly Message[]): number {
    const stream = this.#stream
    if (stream === undefined || !this.#isSafe(stream)) return this.#sendEach(messages)
    let bytes = 0
    stream.cork()
    for (const message of messages) {
      const frame = message.encoded(this.#encoding)
      bytes += frame.length
      stream.write(frame)
    }
    stream.uncork()
    return bytes
  }

  ping (): void { this.#websocket.ping() }

  close (code: number, reason: string): void { this.#websocket.close(code, reason) }

  terminate (): void { this.#websocket.terminate() }

  // If ws counts more bytes than the socket's buffer holds, it queues frames itself, for example behind a compressing
  // send. It does so only after the host has sent something, so the costly check is skipped before.
  #isSafe (stream: Stream): boolean {
    const websocket = this.#websocket
    if (websocket.readyState !== websocket.OPEN) return false
    return !this.#isShared || this.bufferedBytes === stream.writableLength
  }

  // ws calls back with an error when the socket is closed. It is ignored, because the hub receives the `close` event.
  #sendEach (messages: readonly Message[]): number {
    let bytes = 0
    for (const message of messages) {
      bytes += message.bytes
      this.#send(message.text, { binary: false, compress: false }, () => this.#onDrained())
    }
    return bytes
  }

  // The host can reach the WebSocket too and send its own messages.
  #watchSends (): void {
    const send = this.#send as (...args: unknown[]) => void
    this.#websocket.send = (...args: unknown[]) => {
      const options = args.find(isSendOptions)
      const wasFragmented = this.#isFragmented
      this.#isShared = true
      this.#isFragmented = options?.fin === false
      send(...args)
      if (wasFragmented && !this.#isFragmented) setImmediate(this.#onDrained)
    }
  }
}

const isSendOptions = (arg: unknown): arg is { fin?: boolean } =>
  typeof arg === 'object' && arg !== null && 'fin' in arg
