import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { WebSocket, type ClientOptions } from 'ws'
import { SERVER_MESSAGES, type ServerMessages, type ServerMessageType } from '../../schemas/index.js'
import { compile } from '../../lib/base/validation.js'

const validators = new Map(Object.entries(SERVER_MESSAGES).map(([type, schema]) => [type, compile(schema)]))

type Message = ServerMessages[ServerMessageType]

interface Waiter { matches: (message: Message) => boolean, resolve: (message: Message) => void, reject: (err: Error) => void }

/**
 * A WebSocket client over a real socket. Every received message is validated against the server's schemas; an invalid one
 * fails the pending wait for the next message.
 */
export class Client {
  /** All messages in the order of their arrival, read or not. */
  readonly received: Message[] = []
  readonly socket: WebSocket
  readonly closed: Promise<{ code: number, reason: string }>
  #unread: Message[] = []
  #waiters: Waiter[] = []
  #failure: Error | undefined

  constructor (socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data) => this.#take(String(data)))
    socket.on('error', (err) => this.#fail(err))
    this.closed = new Promise((resolve) => socket.once('close', (code, reason) => {
      this.#fail(new Error(`closed with ${code} ${String(reason)}`))
      resolve({ code, reason: String(reason) })
    }))
  }

  /** The next unread message of this type that matches; earlier messages stay unread. */
  async next<Type extends ServerMessageType> (type: Type, fits: (message: ServerMessages[Type]) => boolean = () => true): Promise<ServerMessages[Type]> {
    const matches = (message: Message) => message.type === type && fits(message as ServerMessages[Type])
    const at = this.#unread.findIndex(matches)
    if (at >= 0) return this.#unread.splice(at, 1)[0] as ServerMessages[Type]
    if (this.#failure !== undefined) throw this.#failure
    return await new Promise((resolve, reject) => this.#waiters.push({ matches, resolve: resolve as Waiter['resolve'], reject }))
  }

  /** Sends JSON, or a string or buffer as it is. */
  send (message: object | string): this {
    this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message))
    return this
  }

  /** Subscribes and waits for the acks. */
  async subscribe (...channels: string[]): Promise<this> {
    this.send({ type: 'subscribe', channels })
    for (const channel of channels) await this.next('subscription_ack', ({ payload }) => payload.channel === channel)
    return this
  }

  /** All unread messages that arrived before the reply to a ping that is sent now. */
  async settle (): Promise<Message[]> {
    const id = `settle-${Math.random()}`
    this.send({ type: 'ping', id })
    await this.next('pong', (message) => message.replyTo === id)
    return this.#unread.splice(0)
  }

  async close (): Promise<void> {
    this.socket.close()
    await this.closed
  }

  #take (text: string): void {
    const message = JSON.parse(text) as Message
    const validate = validators.get(message.type)
    if (validate === undefined || !validate(message)) {
      return this.#fail(new Error(`not a valid ${message.type}: ${JSON.stringify(validate?.errors)} in ${text}`))
    }
    this.received.push(message)
    const at = this.#waiters.findIndex(({ matches }) => matches(message))
    if (at < 0) this.#unread.push(message)
    else this.#waiters.splice(at, 1)[0]!.resolve(message)
  }

  #fail (err: Error): void {
    this.#failure ??= err
    for (const { reject } of this.#waiters.splice(0)) reject(err)
  }
}

/** The WebSocket URL of a listening app. */
export function urlOf (app: FastifyInstance, path = '/ws/mission-control'): string {
  return `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}${path}`
}

const starting = new WeakMap<FastifyInstance, Promise<string>>()

/** Starts an app on a free port, once: each call of `listen` before it listens would add listeners to its server. */
export async function ensureListening (app: FastifyInstance): Promise<void> {
  if (app.server.listening) return
  const started = starting.get(app) ?? app.listen({ port: 0, host: '127.0.0.1' })
  starting.set(app, started)
  await started
}

/** Connects to an app, which is started if it does not listen yet. */
export async function connect (app: FastifyInstance, { path, ...options }: ClientOptions & { path?: string } = {}): Promise<Client> {
  await ensureListening(app)
  const socket = new WebSocket(urlOf(app, path), options)
  const client = new Client(socket)
  await once(socket, 'open')
  return client
}

/** Tries to connect and returns the HTTP status: 101, or that of the refusal. */
export async function tryUpgrade (app: FastifyInstance, { path, ...options }: ClientOptions & { path?: string } = {}): Promise<number> {
  await ensureListening(app)
  const socket = new WebSocket(urlOf(app, path), options)
  return await new Promise((resolve, reject) => {
    socket.once('unexpected-response', (_request, response) => {
      response.resume()
      socket.terminate()
      resolve(response.statusCode!)
    })
    socket.on('error', (err) => { if (!/closed before the connection/.test(err.message)) reject(err) })
    socket.once('open', () => {
      socket.terminate()
      resolve(101)
    })
  })
}
