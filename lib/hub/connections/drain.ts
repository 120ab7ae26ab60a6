import type { Clock } from '../../base/clock.js'
import { InvalidOption } from '../../base/errors.js'
import type { Connection } from './connection.js'
import type { Envelope } from '../wire/envelope.js'

const MAX_WAVES = 10
/** Up to this number, all clients are closed in one wave. */
const MIN_WAVE_SIZE = 100
/** Reconnects are spread over at least this time. */
const MIN_SPREAD_MS = 1_000
/** How many clients may reconnect per ms. */
const CLIENTS_PER_MS = 1
const MAX_DRAIN_MS = 3_600_000

/** @throws FST_MC_INVALID_OPTION */
export function checkDrainMs (withinMs: unknown): number {
  if (Number.isInteger(withinMs) && (withinMs as number) >= 0 && (withinMs as number) <= MAX_DRAIN_MS) {
    return withinMs as number
  }
  throw new InvalidOption(`withinMs must be an integer from 0 to ${MAX_DRAIN_MS}, got ${String(withinMs)}`)
}

export interface DrainDeps {
  clock: Clock
  envelope: Envelope
  connections: ReadonlySet<Connection>
}

/**
 * Closes all connections. First sends `server_draining` to each client with its own time to reconnect, then closes the
 * connections in waves spread evenly over `withinMs`. The first wave is closed at once, so that a service with few
 * clients closes without delay.
 */
export class Drain {
  readonly #deps: DrainDeps

  constructor (deps: DrainDeps) {
    this.#deps = deps
  }

  start (withinMs: number): void {
    const connections = [...this.#deps.connections]
    this.#announce(connections, withinMs)
    const waves = withinMs === 0 ? 1 : Math.min(MAX_WAVES, Math.ceil(connections.length / MIN_WAVE_SIZE))
    const size = Math.ceil(connections.length / waves)
    for (let wave = 0; wave < waves; wave++) {
      const members = connections.slice(wave * size, (wave + 1) * size)
      const close = () => { for (const connection of members) connection.close('server_restart') }
      if (wave === 0) close()
      else this.#deps.clock.after(withinMs * wave / waves, close)
    }
  }

  #announce (connections: readonly Connection[], withinMs: number): void {
    const spreadMs = Math.max(MIN_SPREAD_MS, withinMs, connections.length / CLIENTS_PER_MS)
    connections.forEach((connection, index) => {
      const retryAfterMs = withinMs + Math.round(spreadMs * index / connections.length)
      connection.outbox.send(this.#deps.envelope.message('server_draining', { payload: { retryAfterMs } }))
    })
  }
}
