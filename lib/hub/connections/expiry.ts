import { LONGEST_TIMER_MS } from '../../../schemas/limits.js'
import type { Clock, Timer } from '../../base/clock.js'
import type { Envelope } from '../wire/envelope.js'
import type { Connection } from './connection.js'

/** How long before its principal expires a client is told. */
const WARNING_MS = 60_000

export interface ExpiryDeps { clock: Clock, envelope: Envelope }

/**
 * Tells each client in time that its principal expires, and closes its connection if no new token has come until then.
 */
export class Expiry {
  readonly #deps: ExpiryDeps
  readonly #timers = new Map<Connection, Timer>()
  readonly #told = new WeakSet<Connection>()

  constructor (deps: ExpiryDeps) {
    this.#deps = deps
  }

  /** To be called for every new connection. */
  watch (connection: Connection): void {
    if (connection.viewer.expiresAt < Infinity) this.#schedule(connection, this.#leftOf(connection) - WARNING_MS)
  }

  /**
   * To be called when the principal was renewed. The client is told again when half of the time is over, at the
   * earliest: it would otherwise renew a token that is short-lived without a pause.
   */
  renewed (connection: Connection): void {
    this.forget(connection)
    this.#told.delete(connection)
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
    // A timer may run a little early.
    if (this.#told.has(connection)) return
    this.#told.add(connection)
    const payload = { inMs: Math.ceil(leftMs) }
    connection.outbox.send(this.#deps.envelope.message('auth_expiring', { payload }))
  }
}
