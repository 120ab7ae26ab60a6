import type { IncomingMessage, Server } from 'node:http'

type UpgradeListener = (request: IncomingMessage, ...rest: unknown[]) => void

/**
 * Keeps the `upgrade` listeners of one server out of each other's way. An HTTP server calls all of them for every upgrade; two copies
 * of @fastify/websocket (ours, and one that the host registers later) would both try to take the same socket, and one of ours would
 * refuse upgrades that are meant for Socket.IO or another server beside Fastify.
 */
export class UpgradeDispatch {
  readonly #server: Server
  readonly #isOurs: (path: string) => boolean
  readonly #before: Set<unknown>
  #own: UpgradeListener[] = []

  /** To be made before @fastify/websocket is registered for our routes. */
  constructor (server: Server, isOurs: (path: string) => boolean) {
    this.#server = server
    this.#isOurs = isOurs
    this.#before = new Set(server.rawListeners('upgrade'))
  }

  /** To be called right after that registration: from now on its listener takes our path, and others only when nobody else listens. */
  claim (): void {
    const added = this.#server.rawListeners('upgrade').filter((listener) => !this.#before.has(listener)) as UpgradeListener[]
    this.#own = added.map((listener) => this.#replace(listener, (request) => this.#isForUs(request) || this.#isAlone()))
  }

  /** To be called when all plugins are loaded: listeners of others no longer see upgrades to our path. */
  guard (): void {
    for (const listener of this.#server.rawListeners('upgrade') as UpgradeListener[]) {
      if (!this.#own.includes(listener)) this.#replace(listener, (request) => !this.#isForUs(request))
    }
  }

  /** Takes our listeners off. */
  close (): void {
    for (const listener of this.#own) this.#server.off('upgrade', listener)
  }

  // `listener` on a wrapper is what EventEmitter itself sets for `once`: removeListener with the original still finds it.
  #replace (listener: UpgradeListener, takes: (request: IncomingMessage) => boolean): UpgradeListener {
    const wrapper: UpgradeListener & { listener: unknown } = Object.assign(
      (request: IncomingMessage, ...rest: unknown[]) => { if (takes(request)) listener(request, ...rest) },
      { listener })
    this.#server.off('upgrade', listener)
    this.#server.on('upgrade', wrapper)
    return wrapper
  }

  #isForUs (request: IncomingMessage): boolean {
    return this.#isOurs((request.url ?? '').split('?', 1)[0]!)
  }

  #isAlone (): boolean {
    return this.#server.listenerCount('upgrade') === this.#own.length
  }
}
