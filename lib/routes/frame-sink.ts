import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Writable } from '../hub/batch.js'
import type { Encoding, Message } from '../hub/message.js'
import type { Sink } from '../hub/outbox.js'

/**
 * The one place that writes frames beside ws, which has no way to send a frame that is shared between connections. Whole frames only, in one
 * write each time, so that what ws writes by itself (pings, pongs, the close frame) can only come between them. Where that is not safe the same
 * messages go through `send` of ws:
 * while ws holds back frames of its own, while a message of somebody else is only partly sent, and where there is no socket.
 */
export class FrameSink implements Sink {
  readonly #websocket: WebSocket
  readonly #stream: Socket | undefined
  readonly #encoding: Encoding
  #isFragmented = false

  /** `stream` is the socket under the WebSocket; `onDrained` is called when it has taken what was written. */
  constructor (websocket: WebSocket, stream: Socket | undefined, encoding: Encoding, onDrained: () => void) {
    this.#websocket = websocket
    this.#stream = stream
    this.#encoding = encoding
    this.#onDrained = onDrained
    stream?.on('drain', onDrained)
    this.#watchFragments()
  }

  readonly #onDrained: () => void

  get bufferedBytes (): number { return this.#websocket.bufferedAmount }

  write (batch: Writable): number {
    if (!this.#isSafe) return this.#send(batch.messages())
    const bytes = batch.encoded(this.#encoding)
    this.#stream!.write(bytes)
    return bytes.length
  }

  writeAll (messages: readonly Message[]): number {
    if (!this.#isSafe) return this.#send(messages)
    const stream = this.#stream!
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

  // What ws counts beyond the socket's own buffer it has queued itself, behind a compressing send for example.
  get #isSafe (): boolean {
    const { readyState, OPEN, bufferedAmount } = this.#websocket
    const stream = this.#stream
    return stream !== undefined && readyState === OPEN && !this.#isFragmented && stream.writable && bufferedAmount === stream.writableLength
  }

  // ws calls back with an error when the socket is gone; the `close` event tells the hub, so there is nothing to do with it.
  #send (messages: readonly Message[]): number {
    let bytes = 0
    for (const message of messages) {
      bytes += message.bytes
      this.#websocket.send(message.text, { binary: false, compress: false }, () => this.#onDrained())
    }
    return bytes
  }

  // A host can reach the socket too, and a message of its own may be sent in parts; nothing may come between them (RFC 6455 §5.4).
  #watchFragments (): void {
    const websocket = this.#websocket
    const send = websocket.send as (...args: unknown[]) => void
    websocket.send = (...args: unknown[]) => {
      const options = args.find((arg) => typeof arg === 'object' && arg !== null && 'fin' in arg) as { fin?: boolean } | undefined
      this.#isFragmented = options?.fin === false
      send.apply(websocket, args)
    }
  }
}
