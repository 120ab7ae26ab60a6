import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { ensureListening } from './client.js'

/** RFC 6455 §5.2. */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export interface FrameOptions { isFinal?: boolean, isMasked?: boolean, reservedBits?: number, /** Says another length than the payload has. */ length?: number }

/** The bytes of one frame, including frames that no library would send. */
export function frame (opcode: number, payload: string | Buffer = '', { isFinal = true, isMasked = true, reservedBits = 0, length }: FrameOptions = {}): Buffer {
  const body = Buffer.from(payload)
  const mask = isMasked ? randomBytes(4) : Buffer.alloc(0)
  const head = encodeLength(length ?? body.length)
  head[0] = (isFinal ? 0x80 : 0) | (reservedBits << 4) | opcode
  if (isMasked) {
    head[1]! |= 0x80
    for (let at = 0; at < body.length; at++) body[at]! ^= mask[at % 4]!
  }
  return Buffer.concat([head, mask, body])
}

/** One message in one frame per part. */
export function fragments (opcode: number, parts: ReadonlyArray<string | Buffer>): Buffer[] {
  return parts.map((part, at) => frame(at === 0 ? opcode : OPCODE.continuation, part, { isFinal: at === parts.length - 1 }))
}

/** A close frame (RFC 6455 §5.5.1). */
export function closeFrame (code: number, reason: string | Buffer = ''): Buffer {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return frame(OPCODE.close, Buffer.concat([head, Buffer.from(reason)]))
}

function encodeLength (length: number): Buffer {
  if (length < 126) return Buffer.from([0, length])
  const head = Buffer.alloc(length < 65_536 ? 4 : 10)
  head[1] = length < 65_536 ? 126 : 127
  if (length < 65_536) head.writeUInt16BE(length, 2)
  else head.writeBigUInt64BE(BigInt(length), 2)
  return head
}

export interface RawOptions {
  path?: string
  /** Header lines in order, including repeated ones, before those that an upgrade needs. */
  headers?: string[]
  /** Bytes sent directly after the request, in the same packet. */
  early?: Buffer
  /** Never answers a ping or a close frame. */
  isMute?: boolean
  host?: string
}

/** An upgrade request as bytes. */
export function upgradeRequest ({ path = '/ws/mission-control', headers = [], host = 'localhost' }: RawOptions = {}): string {
  return [
    `GET ${path} HTTP/1.1`, `Host: ${host}`, ...headers, 'Connection: Upgrade', 'Upgrade: websocket',
    'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, '', ''
  ].join('\r\n')
}

/** A TCP connection to an app, which is started if it does not listen yet. An error of the connection ends it. */
export async function openTcp (app: FastifyInstance): Promise<Socket> {
  await ensureListening(app)
  const socket = connectTcp({ port: (app.server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  socket.on('error', () => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Sends a request as bytes and returns the response until the server ends or upgrades the connection. */
export async function exchange (app: FastifyInstance, request: string | Buffer): Promise<string> {
  const socket = await openTcp(app)
  socket.write(request)
  let answer = ''
  for await (const chunk of socket) {
    answer += String(chunk)
    if (/^HTTP\/1\.[01] 101 /.test(answer)) break
  }
  socket.destroy()
  return answer
}

interface Waiter { matches: (received: Received) => boolean, resolve: (received: Received) => void, reject: (err: Error) => void }

/** One frame of the server; `json` is its text, parsed. */
export interface Received { opcode: number, payload: Buffer, json: Record<string, any> | undefined }

/** A WebSocket client for protocol violations: it sends any bytes at any time, and can stop reading. */
export class RawClient {
  readonly socket: Socket
  /** The HTTP status of the response to the upgrade. */
  readonly status: number
  /** The headers of the response to the upgrade, as text. */
  readonly head: string
  /** All frames of the server, read or not. */
  readonly received: Received[] = []
  /** Resolves at the end of the connection with the code and the reason of the close frame; without a close frame, no code. */
  readonly ended: Promise<{ code: number | undefined, reason: string }>
  readonly #isMute: boolean
  #bytes: Buffer = Buffer.alloc(0)
  #unread: Received[] = []
  #waiters: Waiter[] = []
  #goodbye: { code: number | undefined, reason: string } = { code: undefined, reason: '' }
  #isOver = false

  /** Connects and waits for the response to the upgrade. */
  static async connect (app: FastifyInstance, options: RawOptions = {}): Promise<RawClient> {
    const socket = await openTcp(app)
    socket.write(Buffer.concat([Buffer.from(upgradeRequest(options)), options.early ?? Buffer.alloc(0)]))
    return await RawClient.over(socket, options.isMute)
  }

  /** Takes over a connection on which an upgrade was requested. */
  static async over (socket: Socket, isMute = false): Promise<RawClient> {
    let bytes = Buffer.alloc(0)
    while (!bytes.includes('\r\n\r\n')) {
      const chunk = socket.read() as Buffer | null
      if (chunk !== null) bytes = Buffer.concat([bytes, chunk])
      else if (socket.readableEnded || socket.destroyed) throw new Error(`the server ended the connection after "${String(bytes)}"`)
      else await Promise.race([once(socket, 'readable'), once(socket, 'close')])
    }
    const end = bytes.indexOf('\r\n\r\n') + 4
    return new RawClient(socket, bytes.subarray(0, end).toString(), bytes.subarray(end), isMute)
  }

  private constructor (socket: Socket, head: string, rest: Buffer, isMute: boolean) {
    this.socket = socket
    this.head = head
    this.status = Number(head.split(' ', 2)[1])
    this.#isMute = isMute
    this.ended = new Promise((resolve) => {
      const end = () => {
        this.#isOver = true
        for (const { reject } of this.#waiters.splice(0)) reject(new Error(`ended with ${this.#goodbye.code} ${this.#goodbye.reason}`))
        resolve(this.#goodbye)
      }
      socket.once('close', end)
      socket.once('end', () => socket.end())
      if (socket.destroyed) end()
    })
    this.#take(rest)
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.resume()
  }

  /** Sends bytes as they are; many frames in one packet if they are joined. */
  write (...frames: Buffer[]): this {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames))
    return this
  }

  /** Sends one text message. */
  send (message: object | string): this {
    return this.write(frame(OPCODE.text, typeof message === 'string' ? message : JSON.stringify(message)))
  }

  /** The next unread message of one of these types. */
  async next (...types: string[]): Promise<Record<string, any>> {
    return (await this.#wait(({ json }) => types.includes(json?.['type'] as string))).json!
  }

  /** The next unread frame with this opcode. */
  async nextFrame (opcode: number): Promise<Buffer> {
    return (await this.#wait((received) => received.opcode === opcode)).payload
  }

  /** Stops reading. Data from the server accumulates in the kernel, then in the server. */
  freeze (): this {
    this.socket.pause()
    return this
  }

  thaw (): this {
    this.socket.resume()
    return this
  }

  /** Types of the messages received so far, in their order. */
  get types (): string[] {
    return this.received.flatMap(({ json }) => json === undefined ? [] : [json['type'] as string])
  }

  async #wait (matches: (received: Received) => boolean): Promise<Received> {
    const at = this.#unread.findIndex(matches)
    if (at >= 0) return this.#unread.splice(at, 1)[0]!
    if (this.#isOver) throw new Error(`ended with ${this.#goodbye.code} ${this.#goodbye.reason}`)
    return await new Promise((resolve, reject) => this.#waiters.push({ matches, resolve, reject }))
  }

  #take (chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    for (let next = readFrame(this.#bytes); next !== undefined; next = readFrame(this.#bytes)) {
      this.#bytes = this.#bytes.subarray(next.size)
      this.#react(next)
    }
  }

  #react ({ opcode, payload }: { opcode: number, payload: Buffer }): void {
    if (opcode === OPCODE.close) this.#goodbye = { code: payload.length < 2 ? 1005 : payload.readUInt16BE(), reason: payload.subarray(2).toString() }
    if (opcode === OPCODE.close && !this.#isMute) this.socket.end(frame(OPCODE.close, payload))
    if (opcode === OPCODE.ping && !this.#isMute) this.write(frame(OPCODE.pong, payload))
    const json = opcode === OPCODE.text ? JSON.parse(payload.toString()) as Record<string, any> : undefined
    const received = { opcode, payload, json }
    this.received.push(received)
    const at = this.#waiters.findIndex(({ matches }) => matches(received))
    if (at < 0) this.#unread.push(received)
    else this.#waiters.splice(at, 1)[0]!.resolve(received)
  }
}

/** The first unmasked frame in these bytes; `undefined` if it is not complete. */
function readFrame (bytes: Buffer): { opcode: number, payload: Buffer, size: number } | undefined {
  if (bytes.length < 2) return undefined
  const short = bytes[1]! & 0x7f
  const start = short === 127 ? 10 : short === 126 ? 4 : 2
  if (bytes.length < start) return undefined
  const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short
  if (bytes.length < start + length) return undefined
  return { opcode: bytes[0]! & 0x0f, payload: Buffer.from(bytes.subarray(start, start + length)), size: start + length }
}
