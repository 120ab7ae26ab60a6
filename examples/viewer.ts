import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { ChannelName, ClientMessage, ServerMessage } from 'fastify-mission-control/schemas'

/** A client of the WebSocket route, such as a dashboard. */
export class Viewer {
  readonly #socket: WebSocket
  readonly #waiting = new Map<string, { resolve: () => void, reject: (err: Error) => void }>()
  #asked = 0

  /** Connects. `onMessage` receives every server message, including replies. */
  static async connect (url: string, onMessage: (message: ServerMessage) => void): Promise<Viewer> {
    const socket = new WebSocket(url)
    // Created before the wait, because the server may close the connection as soon as it is open.
    const viewer = new Viewer(socket, onMessage)
    await once(socket, 'open')
    return viewer
  }

  private constructor (socket: WebSocket, onMessage: (message: ServerMessage) => void) {
    this.#socket = socket
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as ServerMessage
      onMessage(message)
      if (message.replyTo !== undefined) this.#answered(message.replyTo)
    })
    // `close` follows every error and is handled below.
    socket.on('error', () => undefined)
    socket.on('close', (code, reason) => this.#closed(code, String(reason)))
  }

  /** Subscribes. Resolves when all acks and snapshots have arrived. */
  async subscribe (channels: ChannelName[]): Promise<void> {
    this.#send({ type: 'subscribe', channels })
    await this.settled()
  }

  /** Resolves when all messages that the server sent before this call have arrived, because its `pong` follows them. */
  async settled (): Promise<void> {
    if (this.#socket.readyState !== WebSocket.OPEN) throw new Error('the connection is closed')
    const id = `ping-${++this.#asked}`
    await new Promise<void>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#send({ type: 'ping', id })
    })
  }

  async close (): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return
    const closed = once(this.#socket, 'close')
    this.#socket.close(1000)
    await closed
  }

  #send (message: ClientMessage): void {
    this.#socket.send(JSON.stringify(message))
  }

  #answered (id: string): void {
    this.#waiting.get(id)?.resolve()
    this.#waiting.delete(id)
  }

  #closed (code: number, reason: string): void {
    const error = new Error(`the server closed the connection: ${code} ${reason}`)
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
