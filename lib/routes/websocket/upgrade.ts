import { ServerResponse, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'

type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/**
 * Separates the `upgrade` listeners of one HTTP server. The server calls all of them for every upgrade, and with at
 * least one listener it no longer responds to such requests itself. To affect only the path of the plugin, our listener
 * handles that path alone, other listeners never receive it, and an upgrade without a listener is served as an ordinary
 * request, as it would be without the plugin (RFC 9110 §7.8: a server may ignore Upgrade). Without other listeners, the
 * router of Fastify finds the WebSocket route. Beside them, only the plain spelling of the path is recognised as ours.
 */
export class UpgradeDispatch {
  readonly #server: Server
  readonly #path: string
  readonly #before: Set<unknown>
  readonly #sockets = new Set<Duplex>()
  #own: UpgradeListener[] = []

  /** Create it before @fastify/websocket is registered. `path` is the path of the WebSocket route. */
  constructor (server: Server, path: string) {
    this.#server = server
    this.#path = path
    this.#before = new Set(server.rawListeners('upgrade'))
  }

  /** Call right after @fastify/websocket was registered. */
  claim (): void {
    const listeners = this.#server.rawListeners('upgrade') as UpgradeListener[]
    const added = listeners.filter((listener) => !this.#before.has(listener))
    this.#own = added.map((listener) => this.#replace(listener, (request, socket, head) => {
      // Without other listeners the router of Fastify decides, because it also accepts other spellings of the path.
      const isRouted = this.#isAlone() && isWebSocketHandshake(request)
      if (!this.#isOurs(request) && !this.#isAlone()) return
      this.#track(socket)
      if (this.#isOurs(request) || isRouted) upgrade(listener, request, socket, head)
      else serveWithoutUpgrade(this.#server, request, socket)
    }))
  }

  /** Call when all plugins are loaded: from then on, other listeners do not receive upgrades to our path. */
  guard (): void {
    for (const listener of this.#server.rawListeners('upgrade') as UpgradeListener[]) {
      if (this.#own.includes(listener)) continue
      this.#replace(listener, (request, socket, head) => {
        if (!this.#isOurs(request)) listener.call(this.#server, request, socket, head)
      })
    }
  }

  /** Removes our listeners, and destroys sockets that still wait in a hook: the HTTP server would wait for them. */
  close (): void {
    for (const socket of this.#sockets) socket.destroy()
    for (const listener of this.#own) this.#server.off('upgrade', listener)
  }

  #track (socket: Duplex): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  // EventEmitter sets `listener` on its own `once` wrappers too: `off` with the original listener still finds the
  // wrapper.
  #replace (listener: UpgradeListener, by: UpgradeListener): UpgradeListener {
    const wrapper = Object.assign(by, { listener })
    this.#server.off('upgrade', listener)
    this.#server.on('upgrade', wrapper)
    return wrapper
  }

  #isOurs (request: IncomingMessage): boolean {
    return request.method === 'GET' && request.url!.split('?', 1)[0] === this.#path
  }

  #isAlone (): boolean {
    return this.#server.listenerCount('upgrade') === this.#own.length
  }
}

// While the service closes, Fastify responds with 503 synchronously, before any hook that would end the socket. Such a
// socket would block the close forever. All other responses are sent later, because the plugin's hooks are
// asynchronous.
function upgrade (listener: UpgradeListener, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const tcp = socket as Socket
  const writtenBefore = tcp.bytesWritten
  listener(request, socket, head)
  if (tcp.bytesWritten > writtenBefore) tcp.destroySoon()
}

function serveWithoutUpgrade (server: Server, request: IncomingMessage, socket: Duplex): void {
  // Node.js removes its own listener before it emits `upgrade`.
  socket.on('error', () => socket.destroy())
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket as Socket)
  response.once('finish', () => (socket as Socket).destroySoon())
  // The HTTP parser is detached, so a body cannot be read. Refusing it is better than treating it as empty.
  if (hasBody(request)) response.writeHead(400).end()
  else server.emit('request', request, response)
}

const isWebSocketHandshake = (request: IncomingMessage): boolean =>
  request.method === 'GET' && request.headers.upgrade?.toLowerCase() === 'websocket' && !hasBody(request)

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
