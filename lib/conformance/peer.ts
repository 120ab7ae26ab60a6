import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { WebSocket, type RawData } from 'ws'
import type { ServerMessage } from '../../schemas/messages/server-messages.js'
import { expect, Failure, show } from './outcome.js'

/** One frame of the server. `message` is set if the frame contains a JSON object, of which nothing is verified. */
export interface ReceivedFrame { text: string, isBinary: boolean, message: WireMessage | undefined }

type EnvelopeField =
  | 'type' | 'id' | 'timestamp' | 'unix' | 'protocolVersion' | 'server' | 'replyTo' | 'position' | 'conflated'

/** A message as it was received: fields may be missing or of any type. */
export type WireMessage = Partial<Record<EnvelopeField, unknown>> & {
  payload?: Record<string, unknown>
  error?: Record<string, unknown>
}

export interface PeerOptions { url: string, headers: Readonly<Record<string, string>>, timeoutMs: number }

type Type = ServerMessage['type']

/** A client that records everything it receives and lets a check wait for messages. */
export class Peer {
  /** In the order of arrival. */
  readonly received: ReceivedFrame[] = []
  /** Objects that were sent, in order. */
  readonly sent: object[] = []
  readonly socket: WebSocket
  readonly #timeoutMs: number
  readonly #changed = new EventTarget()
  #closed: { code: number, reason: string } | undefined
  // A server may remember ids across connections.
  readonly #idSuffix = randomUUID().slice(0, 8)
  #asked = 0

  private constructor (socket: WebSocket, timeoutMs: number) {
    this.socket = socket
    this.#timeoutMs = timeoutMs
    socket.on('message', (data, isBinary) => this.#onFrame(data, isBinary))
    socket.on('close', (code, reason) => {
      this.#closed = { code, reason: String(reason) }
      this.#changed.dispatchEvent(new Event('change'))
    })
    // A `close` event follows every error.
    socket.on('error', () => {})
  }

  /** Connects, or rejects with the error of the socket. */
  static async open ({ url, headers, timeoutMs }: PeerOptions): Promise<Peer> {
    const socket = new WebSocket(url, { headers, handshakeTimeout: timeoutMs, perMessageDeflate: false })
    const peer = new Peer(socket, timeoutMs)
    await once(socket, 'open')
    return peer
  }

  /** Number of frames received so far, which is the index of the next one in `received`. */
  get mark (): number { return this.received.length }

  /** Sends an object as JSON, and a string or a buffer unchanged. */
  send (message: object | string | Buffer, { binary = false } = {}): void {
    const isData = typeof message === 'string' || Buffer.isBuffer(message)
    if (!isData) this.sent.push(message)
    this.socket.send(isData ? message : JSON.stringify(message), { binary })
  }

  /** Waits for the first matching message at or after index `from`. `what` describes it in a failure. */
  async next (
    what: string, matches: (message: WireMessage) => boolean, { from = 0, timeoutMs = this.#timeoutMs } = {}
  ): Promise<WireMessage> {
    let at = from
    let found: WireMessage | undefined
    await this.#until(what, timeoutMs, from, () => {
      while (at < this.received.length && found === undefined) {
        const { message } = this.received[at++]!
        if (message !== undefined && matches(message)) found = message
      }
      return found !== undefined
    })
    return found!
  }

  /** Waits for `count` messages of one type at or after index `from`. */
  async nextOf (type: Type, count: number, { from = 0 } = {}): Promise<WireMessage[]> {
    const all = () => this.since(from).filter((message) => message.type === type)
    await this.#until(`${count} messages of type ${type}`, this.#timeoutMs, from, () => all().length >= count)
    return all().slice(0, count)
  }

  /** A new id for a message, which no other connection uses. */
  makeId (purpose: string): string {
    return `${purpose}-${++this.#asked}-${this.#idSuffix}`
  }

  /** Sends a message, with a new id unless one is given, and returns the first reply to it. */
  async ask (message: object, id = this.makeId('ask')): Promise<WireMessage> {
    const from = this.mark
    this.send({ ...message, id })
    const what = `a reply with replyTo "${id}" to ${show(message)}`
    return await this.next(what, ({ replyTo }) => replyTo === id, { from })
  }

  /** Sends messages and returns everything that arrives before a barrier behind them, except for heartbeats. */
  async answersTo (...messages: Array<object | string | Buffer>): Promise<WireMessage[]> {
    const from = this.mark
    for (const message of messages) this.send(message, { binary: Buffer.isBuffer(message) })
    return (await this.barrier(from)).filter(({ type }) => type !== 'heartbeat')
  }

  /**
   * Sends a ping and waits for its pong: every answer to earlier messages has arrived by then. Returns the messages at
   * or after index `from` without the pong. The connection must still be open.
   */
  async barrier (from = this.mark): Promise<WireMessage[]> {
    const id = this.makeId('barrier')
    const what = 'a pong, on a connection that stays open'
    this.send({ type: 'ping', id })
    await this.next(what, ({ type, replyTo }) => type === 'pong' && replyTo === id, { from })
    const messages = this.since(from)
    return messages.slice(0, messages.findIndex(({ replyTo }) => replyTo === id))
  }

  /** The messages received so far at or after index `from`. */
  since (from: number): WireMessage[] {
    return this.received.slice(from).flatMap(({ message }) => message ?? [])
  }

  /** Waits until the connection is closed. */
  async whenClosed (what: string): Promise<{ code: number, reason: string }> {
    await this.#until(what, this.#timeoutMs, this.mark, () => this.#closed !== undefined)
    return this.#closed!
  }

  get isClosed (): boolean { return this.#closed !== undefined }

  /** Terminates the connection. `received` stays readable. */
  close (): void {
    this.socket.terminate()
  }

  async #until (what: string, timeoutMs: number, from: number, isDone: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs)
    while (!isDone()) {
      if (this.#closed !== undefined) {
        throw new Failure(what, `a close with code ${this.#closed.code} ${show(this.#closed.reason)}`)
      }
      const inTime = await once(this.#changed, 'change', { signal }).then(() => true, () => false)
      if (!inTime) throw new Failure(`${what} within ${timeoutMs} ms`, this.#describe(from))
    }
  }

  #describe (from: number): string {
    const others = this.received.slice(from)
    if (others.length === 0) return 'nothing'
    return `${others.length} other frames, the last one ${show(others.at(-1)!.message ?? others.at(-1)!.text)}`
  }

  #onFrame (data: RawData, isBinary: boolean): void {
    const text = String(data)
    this.received.push({ text, isBinary, message: parse(text) })
    this.#changed.dispatchEvent(new Event('change'))
  }
}

function parse (text: string): WireMessage | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as WireMessage : undefined
  } catch {
    return undefined
  }
}

/** Expects a `protocol_error` with this code. */
export function expectError (message: WireMessage | undefined, code: string, cause: string): void {
  const isExpected = message?.type === 'protocol_error' && message.error?.['code'] === code
  expect(isExpected, `protocol_error ${code} to ${cause}`, message)
}
