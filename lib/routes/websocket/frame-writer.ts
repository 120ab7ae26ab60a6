import type { Socket as Stream } from 'node:net'
import type { WebSocket } from 'ws'
import type { Writable } from '../../hub/delivery/batch.js'
import type { Encoding, Message } from '../../hub/wire/message.js'
import type { Socket } from '../../hub/connections/connection.js'
import { HIGH_WATER_BYTES } from '../../hub/delivery/outbox.js'
import type { WriteQueue } from '../../hub/delivery/write-queue.js'

/**
 * The one place that writes frames beside ws, which has no way to send a frame that is shared between connections. Whole frames only, in one
 * write each time, so that what ws writes by itself (pings, pongs, the close frame) can only come between them. Where that is not safe the same
 * messages go through `send` of ws:
 * while ws holds back frames of its own, and where there is no socket. While a message of somebody else is only partly sent nothing is.
 */
export class WebSocketFrameWriter implements Socket {
  // What every write needs comes first, so that it lies together.
  readonly #websocket: WebSocket
  readonly #stream: Stream | undefined
  readonly #encoding: Encoding
  #isShared = false
  readonly #onDrained: () => void
  readonly #send: WebSocket['send']
  #isFragmented = false

  /** `stream` is the socket under the WebSocket; `onDrained` is called when it has taken what was written. */
  constructor (websocket: WebSocket, stream: Stream | undefined, encoding: Encoding, onDrained: () => void) {
    this.#websocket = websocket
    this.#stream = stream
    this.#encoding = encoding
    this.#onDrained = onDrained
    this.#send = websocket.send.bind(websocket) as WebSocket['send']
    stream?.on('drain', onDrained)
    this.#watchSends()
  }

  // Nothing may come between the parts of somebody else's message (RFC 6455 §5.4): until its end this counts as full.
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

  // What ws counts beyond the socket's own buffer it has queued itself, behind a compressing send for example. It only ever does so when
  // somebody else has sent something, so that the rest of ws is not looked at before.
  #isSafe (stream: Stream): boolean {
    const websocket = this.#websocket
    if (websocket.readyState !== websocket.OPEN) return false
    return !this.#isShared || this.bufferedBytes === stream.writableLength
  }

  // ws calls back with an error when the socket is gone; the `close` event tells the hub, so there is nothing to do with it.
  #sendEach (messages: readonly Message[]): number {
    let bytes = 0
    for (const message of messages) {
      bytes += message.bytes
      this.#send(message.text, { binary: false, compress: false }, () => this.#onDrained())
    }
    return bytes
  }

  // A host can reach the socket too, and send what it likes through it.
  #watchSends (): void {
    const send = this.#send as (...args: unknown[]) => void
    this.#websocket.send = (...args: unknown[]) => {
      const options = args.find((arg) => typeof arg === 'object' && arg !== null && 'fin' in arg) as { fin?: boolean } | undefined
      const wasFragmented = this.#isFragmented
      this.#isShared = true
      this.#isFragmented = options?.fin === false
      send(...args)
      if (wasFragmented && !this.#isFragmented) setImmediate(this.#onDrained)
    }
  }
}
