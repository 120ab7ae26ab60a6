import { LONGEST_TIMER_MS } from '../../../schemas/limits.js'
import type { Clock, Timer } from '../../base/clock.js'
import type { MessageEnvelope } from '../wire/envelope.js'
import type { Connection } from './connection.js'

/** How long before the expiry of its principal a client is warned. */
const WARNING_MS = 60_000

export interface ExpiryDeps { clock: Clock, envelope: MessageEnvelope }

/**
 * Warns each client before its principal expires, and closes the connection if the principal was not renewed by then.
 */
export class Expiry {
  readonly #deps: ExpiryDeps
  readonly #timers = new Map<Connection, Timer>()
  readonly #warned = new WeakSet<Connection>()

  constructor (deps: ExpiryDeps) {
    this.#deps = deps
  }

  /** Call for every new connection. */
  watch (connection: Connection): void {
    if (connection.viewer.expiresAt < Infinity) this.#schedule(connection, this.#leftOf(connection) - WARNING_MS)
  }

  /**
   * Call when the principal was renewed. The next warning comes after half of the remaining time at the earliest.
   * Otherwise a client with short-lived tokens would renew them without a pause.
   */
  renewed (connection: Connection): void {
    this.forget(connection)
    this.#warned.delete(connection)
    const leftMs = this.#leftOf(connection)
    if (leftMs < Infinity) this.#schedule(connection, Math.max(leftMs / 2, leftMs - WARNING_MS))
  }

  forget (connection: Connection): void {
    this.#timers.get(connection)?.cancel()
    this.#timers.delete(connection)
  }

  #leftOf ({ viewer }: Connection): number {
    return viewer.expiresAt - this.#deps.clock.now()
  }

  #schedule (connection: Connection, ms: number): void {
    const waitMs = Math.min(Math.max(Math.ceil(ms), 0), LONGEST_TIMER_MS)
    this.#timers.set(connection, this.#deps.clock.after(waitMs, () => this.#check(connection)))
  }

  #check (connection: Connection): void {
    const leftMs = this.#leftOf(connection)
    if (leftMs <= 0) return connection.close('token_expired')
    if (leftMs > WARNING_MS) return this.#schedule(connection, leftMs - WARNING_MS)
    this.#schedule(connection, leftMs)
    // The timer of the expiry may fire a little early.
    if (this.#warned.has(connection)) return
    this.#warned.add(connection)
    const payload = { inMs: Math.ceil(leftMs) }
    connection.outbox.send(this.#deps.envelope.message('auth_expiring', { payload }))
  }
}
