import { ServerResponse, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'

type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/**
 * Keeps the `upgrade` listeners of one server out of each other's way. An HTTP server calls all of them for every upgrade, and as soon as
 * there is one it no longer answers such requests itself. So that the plugin changes nothing but its own path:
 * our listener takes that path alone, listeners of others never see it, and an upgrade that nobody takes is served as the ordinary
 * request it would be without us (RFC 9110 §7.8: a server may ignore Upgrade).
 */
export class UpgradeDispatch {
  readonly #server: Server
  readonly #path: string
  readonly #before: Set<unknown>
  #own: UpgradeListener[] = []

  /** To be made before @fastify/websocket is registered for our route; `path` is that route's. */
  constructor (server: Server, path: string) {
    this.#server = server
    this.#path = path
    this.#before = new Set(server.rawListeners('upgrade'))
  }

  /** To be called right after that registration. */
  claim (): void {
    const added = this.#server.rawListeners('upgrade').filter((listener) => !this.#before.has(listener)) as UpgradeListener[]
    this.#own = added.map((listener) => this.#replace(listener, (request, socket, head) => {
      if (this.#isOurs(request)) upgrade(listener, request, socket, head)
      else if (this.#isAlone()) serveWithoutUpgrade(this.#server, request, socket)
    }))
  }

  /** To be called when all plugins are loaded: listeners of others no longer see upgrades to our path. */
  guard (): void {
    for (const listener of this.#server.rawListeners('upgrade') as UpgradeListener[]) {
      if (this.#own.includes(listener)) continue
      this.#replace(listener, (request, socket, head) => {
        if (!this.#isOurs(request)) listener.call(this.#server, request, socket, head)
      })
    }
  }

  /** Takes our listeners off. */
  close (): void {
    for (const listener of this.#own) this.#server.off('upgrade', listener)
  }

  // `listener` on a wrapper is what EventEmitter itself sets for `once`: removeListener with the original still finds it.
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

// A service that closes answers 503 on the spot, before any hook that would end the socket afterwards; left open, that socket
// would hold up the close for ever. Every other answer comes later, since our own hooks are asynchronous.
function upgrade (listener: UpgradeListener, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const tcp = socket as Socket
  const writtenBefore = tcp.bytesWritten
  listener(request, socket, head)
  if (tcp.bytesWritten > writtenBefore) tcp.destroySoon()
}

function serveWithoutUpgrade (server: Server, request: IncomingMessage, socket: Duplex): void {
  // Node takes its own listener off before it emits `upgrade`.
  socket.on('error', () => socket.destroy())
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket as Socket)
  response.once('finish', () => (socket as Socket).destroySoon())
  // The parser has let go of the connection, so that a body could no longer be read: better refused than taken for empty.
  if (hasBody(request)) response.writeHead(400).end()
  else server.emit('request', request, response)
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
