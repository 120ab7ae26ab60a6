import { once } from 'node:events'
import { WebSocket, type RawData } from 'ws'
import type { ServerMessage } from '../../schemas/messages/server-messages.js'
import { expect, Failure, show } from './outcome.js'

/** One frame of the server. `message` is there when it is a JSON object; nothing else about it is sure. */
export interface Received { text: string, isBinary: boolean, message: WireMessage | undefined }

/** A message as it came: the fields may be missing or of any type. */
export type WireMessage = Partial<Record<'type' | 'id' | 'timestamp' | 'unix' | 'protocolVersion' | 'server' | 'replyTo' | 'position' | 'conflated', unknown>> & {
  payload?: Record<string, unknown>
  error?: Record<string, unknown>
}

export interface PeerSettings { url: string, headers: Readonly<Record<string, string>>, timeoutMs: number }

type Type = ServerMessage['type']

/** A client that keeps all that comes and lets a check wait for it. */
export class Peer {
  /** In the order of arrival. */
  readonly received: Received[] = []
  /** What was sent as objects, in order. */
  readonly sent: object[] = []
  readonly socket: WebSocket
  readonly #timeoutMs: number
  readonly #changed = new EventTarget()
  #closed: { code: number, reason: string } | undefined
  #asked = 0

  private constructor (socket: WebSocket, timeoutMs: number) {
    this.socket = socket
    this.#timeoutMs = timeoutMs
    socket.on('message', (data, isBinary) => this.#take(data, isBinary))
    socket.on('close', (code, reason) => {
      this.#closed = { code, reason: String(reason) }
      this.#changed.dispatchEvent(new Event('change'))
    })
    // A close follows each.
    socket.on('error', () => {})
  }

  /** Connects; rejects with what kept it from it. */
  static async open ({ url, headers, timeoutMs }: PeerSettings): Promise<Peer> {
    const socket = new WebSocket(url, { headers, handshakeTimeout: timeoutMs, perMessageDeflate: false })
    const peer = new Peer(socket, timeoutMs)
    await once(socket, 'open')
    return peer
  }

  /** How many frames have come; what comes from now on is at this place and later. */
  get mark (): number { return this.received.length }

  /** Sends an object as JSON, text and bytes as they are. */
  send (message: object | string | Buffer, { binary = false } = {}): void {
    const isData = typeof message === 'string' || Buffer.isBuffer(message)
    if (!isData) this.sent.push(message)
    this.socket.send(isData ? message : JSON.stringify(message), { binary })
  }

  /** The first message from place `from` on that fits; waits for it. `what` says in words what is waited for. */
  async next (what: string, fits: (message: WireMessage) => boolean, { from = 0, timeoutMs = this.#timeoutMs } = {}): Promise<WireMessage> {
    let at = from
    let found: WireMessage | undefined
    await this.#until(what, timeoutMs, from, () => {
      while (at < this.received.length && found === undefined) {
        const { message } = this.received[at++]!
        if (message !== undefined && fits(message)) found = message
      }
      return found !== undefined
    })
    return found!
  }

  /** `count` messages of one type from place `from` on; waits for them. */
  async nextOf (type: Type, count: number, { from = 0 } = {}): Promise<WireMessage[]> {
    const all = () => this.since(from).filter((message) => message.type === type)
    await this.#until(`${count} messages ${type}`, this.#timeoutMs, from, () => all().length >= count)
    return all().slice(0, count)
  }

  /** Sends a message with a new id and gives the first reply to it. */
  async ask (message: object): Promise<WireMessage> {
    const id = `ask-${++this.#asked}`
    const from = this.mark
    this.send({ ...message, id })
    return await this.next(`a reply with replyTo "${id}" to ${show(message)}`, ({ replyTo }) => replyTo === id, { from })
  }

  /** Sends something and gives what came up to the answer of a ping behind it, without that and without heartbeats, which come at any time. */
  async answersTo (...messages: Array<object | string | Buffer>): Promise<WireMessage[]> {
    const from = this.mark
    for (const message of messages) this.send(message, { binary: Buffer.isBuffer(message) })
    return (await this.fence(from)).filter(({ type }) => type !== 'heartbeat')
  }

  /** What has come from place `from` on up to the answer of a ping that is sent now, without that. The connection must still be open. */
  async fence (from = this.mark): Promise<WireMessage[]> {
    const id = `fence-${++this.#asked}`
    this.send({ type: 'ping', id })
    await this.next('a pong, on a connection that stays open', ({ type, replyTo }) => type === 'pong' && replyTo === id, { from })
    const messages = this.since(from)
    return messages.slice(0, messages.findIndex(({ replyTo }) => replyTo === id))
  }

  /** The messages from place `from` on that have come so far. */
  since (from: number): WireMessage[] {
    return this.received.slice(from).flatMap(({ message }) => message ?? [])
  }

  /** Waits for the end of the connection. */
  async whenClosed (what: string): Promise<{ code: number, reason: string }> {
    await this.#until(what, this.#timeoutMs, this.mark, () => this.#closed !== undefined)
    return this.#closed!
  }

  get isClosed (): boolean { return this.#closed !== undefined }

  /** Ends the connection; what came stays. */
  close (): void {
    this.socket.terminate()
  }

  async #until (what: string, timeoutMs: number, from: number, isSo: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs)
    while (!isSo()) {
      if (this.#closed !== undefined) throw new Failure(what, `a close with code ${this.#closed.code} ${show(this.#closed.reason)}`)
      const inTime = await once(this.#changed, 'change', { signal }).then(() => true, () => false)
      if (!inTime) throw new Failure(`${what} within ${timeoutMs} ms`, this.#describe(from))
    }
  }

  #describe (from: number): string {
    const came = this.received.slice(from)
    if (came.length === 0) return 'nothing'
    return `${came.length} other frames, the last one ${show(came.at(-1)!.message ?? came.at(-1)!.text)}`
  }

  #take (data: RawData, isBinary: boolean): void {
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

/** Checks that a message is a `protocol_error` with this code. */
export function expectError (message: WireMessage | undefined, code: string, cause: string): void {
  expect(message?.type === 'protocol_error' && message.error?.['code'] === code, `protocol_error ${code} to ${cause}`, message)
}
