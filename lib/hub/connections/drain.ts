import type { Clock } from '../../base/clock.js'
import { InvalidOption } from '../../base/errors.js'
import type { Connection } from './connection.js'
import type { MessageEnvelope } from '../wire/envelope.js'

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
  envelope: MessageEnvelope
  connections: ReadonlySet<Connection>
}

/** When the connections close, at the latest, and over which time their clients reconnect afterwards. */
export interface Announcement { closingMs: number, spreadMs: number }

/** Notifies all clients that their connections will close, and then closes them. */
export class Drain {
  readonly #deps: DrainDeps
  #isAnnounced = false
  #onEmpty: (() => void) | undefined

  constructor (deps: DrainDeps) {
    this.#deps = deps
  }

  /** Sends `server_draining` to each client with its own time to reconnect, once. */
  announce ({ closingMs, spreadMs }: Announcement): void {
    if (this.#isAnnounced) return
    this.#isAnnounced = true
    const { connections, envelope } = this.#deps
    const { size } = connections
    const longestMs = Math.max(MIN_SPREAD_MS, spreadMs, size / CLIENTS_PER_MS)
    let index = 0
    for (const { outbox } of connections) {
      const retryAfterMs = closingMs + Math.round(longestMs * index++ / size)
      outbox.send(envelope.message('server_draining', { payload: { retryAfterMs } }))
    }
  }

  /**
   * Closes the connections in waves spread evenly over `withinMs`. The first wave is closed at once, so that a service
   * with few clients closes without delay. Resolves with the time that it took, in ms, when all are closed.
   */
  async closeAll (withinMs: number): Promise<number> {
    const { clock, connections } = this.#deps
    const startedAt = clock.monotonic()
    if (connections.size > 0) {
      const empty = new Promise<void>((resolve) => { this.#onEmpty = resolve })
      this.#closeInWaves([...connections], withinMs)
      await empty
    }
    return clock.monotonic() - startedAt
  }

  /** To be called when the last connection was closed. */
  emptied (): void {
    this.#onEmpty?.()
  }

  #closeInWaves (connections: readonly Connection[], withinMs: number): void {
    const waves = withinMs === 0 ? 1 : Math.min(MAX_WAVES, Math.ceil(connections.length / MIN_WAVE_SIZE))
    const size = Math.ceil(connections.length / waves)
    for (let wave = 0; wave < waves; wave++) {
      const members = connections.slice(wave * size, (wave + 1) * size)
      const close = () => { for (const connection of members) connection.close('server_restart') }
      if (wave === 0) close()
      else this.#deps.clock.after(withinMs * wave / waves, close)
    }
  }
}
