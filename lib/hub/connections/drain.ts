import type { Clock } from '../../base/clock.js'
import { InvalidOption } from '../../base/errors.js'
import type { Connection } from './connection.js'
import type { Envelope } from '../wire/envelope.js'

/** The first wave goes at once, so that a service with few clients closes without delay. */
const WAVES = 10
/** Clients that fit into one wave whatever their number. */
const LEAST_IN_WAVE = 100
/** Clients are told to come back within this time, each at its own. */
const LEAST_SPREAD_MS = 1_000
/** Clients that may come back in one ms. */
const CLIENTS_PER_MS = 1

/** The longest time a drain may take. */
const LONGEST_DRAIN_MS = 3_600_000

/** @throws FST_MC_INVALID_OPTION */
export function checkDrainMs (withinMs: unknown): number {
  if (Number.isInteger(withinMs) && (withinMs as number) >= 0 && (withinMs as number) <= LONGEST_DRAIN_MS) return withinMs as number
  throw new InvalidOption(`withinMs must be a whole number of ms from 0 to ${LONGEST_DRAIN_MS}`)
}

export interface DrainDeps {
  clock: Clock
  envelope: Envelope
  connections: ReadonlySet<Connection>
}

/**
 * Says goodbye to everybody: each client is told when to come back, each at a time of its own, and then all are closed in waves over
 * `withinMs`. Clients that have gone by themselves meanwhile are left alone.
 */
export class Drain {
  readonly #deps: DrainDeps

  constructor (setup: DrainDeps) {
    this.#deps = setup
  }

  start (withinMs: number): void {
    const connections = [...this.#deps.connections]
    this.#announce(connections, withinMs)
    const waves = withinMs === 0 ? 1 : Math.min(WAVES, Math.ceil(connections.length / LEAST_IN_WAVE))
    const size = Math.ceil(connections.length / waves)
    for (let wave = 0; wave < waves; wave++) {
      const leaving = connections.slice(wave * size, (wave + 1) * size)
      const close = () => { for (const connection of leaving) connection.close('server_restart') }
      // Evenly over the time, the last one before its end.
      if (wave === 0) close()
      else this.#deps.clock.after(withinMs * wave / waves, close)
    }
  }

  #announce (connections: readonly Connection[], withinMs: number): void {
    const spreadMs = Math.max(LEAST_SPREAD_MS, withinMs, connections.length / CLIENTS_PER_MS)
    connections.forEach((connection, at) => {
      const retryAfterMs = withinMs + Math.round(spreadMs * at / connections.length)
      connection.outbox.send(this.#deps.envelope.message('server_draining', { payload: { retryAfterMs } }))
    })
  }
}
