import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../base/clock.js'
import type { RefusalReason } from '../../hub/connections/admission.js'
import type { Hub } from '../../hub/hub.js'
import { socketOf } from '../own-route.js'
import { refuseWaiting } from './refusal.js'

/** How long the hooks of an upgrade may take, in ms. */
const HOOKS_TIMEOUT_MS = 5_000

interface Upgrade {
  /** Why the upgrade was refused on its arrival. */
  readonly refusal: RefusalReason | undefined
  readonly bytesWrittenBefore: number
  timer?: Timer
  /** Whether it was answered, or became a connection. */
  isOver: boolean
}

export interface PendingUpgradesDeps { clock: Clock, hub: Pick<Hub, 'admit' | 'release' | 'refuse'> }

/**
 * The upgrades that have not become a connection yet. Each counts as a connection from its arrival, so that a hanging
 * hook cannot accumulate them without limit. An upgrade whose hooks do not end in time is answered with 401.
 */
export class PendingUpgrades {
  readonly #deps: PendingUpgradesDeps
  readonly #upgrades = new WeakMap<IncomingMessage, Upgrade>()
  readonly #sockets = new Set<Socket>()

  constructor (deps: PendingUpgradesDeps) {
    this.#deps = deps
  }

  /** Call when an upgrade arrives, before any hook runs. */
  arrived (raw: IncomingMessage): void {
    const { clock, hub } = this.#deps
    const upgrade: Upgrade = { refusal: hub.admit(), bytesWrittenBefore: bytesWritten(raw), isOver: false }
    this.#upgrades.set(raw, upgrade)
    this.#track(raw)
    if (upgrade.refusal === undefined) {
      upgrade.timer = clock.after(HOOKS_TIMEOUT_MS, () => this.#end(raw, upgrade, 'timeout'))
    } else {
      // A hook of the plugin refuses it. If that hook has not run by then, a hook of the host is waiting.
      setImmediate(() => { if (!upgrade.isOver) this.#end(raw, upgrade, upgrade.refusal!) })
    }
  }

  has (raw: IncomingMessage): boolean {
    return this.#upgrades.has(raw)
  }

  /** Why the upgrade must be refused; `undefined` if it was admitted on its arrival. */
  refusalOf (raw: IncomingMessage): RefusalReason | undefined {
    return this.#upgrades.get(raw)?.refusal
  }

  /** Whether the upgrade was answered while a hook was waiting. */
  isOver (raw: IncomingMessage): boolean {
    return this.#upgrades.get(raw)?.isOver === true
  }

  /** Call when all hooks have let the upgrade pass. */
  passed (raw: IncomingMessage): void {
    this.#upgrades.get(raw)?.timer?.cancel()
  }

  /** Call when the upgrade becomes a connection. */
  connected (raw: IncomingMessage): void {
    this.#upgrades.get(raw)!.isOver = true
  }

  /** Call when a response is sent instead. */
  answered (raw: IncomingMessage): void {
    const upgrade = this.#upgrades.get(raw)
    if (upgrade !== undefined) this.#leave(upgrade, true)
  }

  /** Destroys the sockets: the HTTP server would wait for them. */
  close (): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #track (raw: IncomingMessage): void {
    const socket = socketOf(raw)
    if (socket === undefined) return
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#leave(this.#upgrades.get(raw)!, false)
    })
  }

  #leave (upgrade: Upgrade, isRefused: boolean): void {
    if (upgrade.isOver) return
    upgrade.isOver = true
    upgrade.timer?.cancel()
    if (upgrade.refusal === undefined) this.#deps.hub.release(isRefused)
  }

  #end (raw: IncomingMessage, upgrade: Upgrade, reason: RefusalReason): void {
    this.#leave(upgrade, false)
    this.#deps.hub.refuse(reason)
    const socket = socketOf(raw)
    if (socket === undefined) return
    // While the service closes, Fastify has answered by itself.
    if (bytesWritten(raw) > upgrade.bytesWrittenBefore) socket.destroySoon()
    else refuseWaiting(socket, reason)
  }
}

const bytesWritten = (raw: IncomingMessage): number => socketOf(raw)?.bytesWritten ?? 0
