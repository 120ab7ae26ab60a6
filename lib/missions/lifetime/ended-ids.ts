import type { TerminalStatus } from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import { Queue } from '../../base/queue.js'

/** What is remembered of a mission that has ended and is no longer kept. */
export interface EndedId {
  readonly id: string
  readonly attempt: number
  readonly status: TerminalStatus
  readonly seq: number
  /** How many of its attempts have ended. */
  readonly ended: number
  /** In ms of the monotonic clock. */
  readonly at: number
}

export interface EndedIdsDeps {
  clock: Clock
  /** How many ids are remembered. */
  max: number
  /** For how long, in ms. */
  maxAgeMs: number
}

/**
 * The ids of missions that have ended, remembered longer than the missions are kept: a report that is delivered late or
 * twice must not register its mission again. Bounded by count and age; the oldest is dropped first.
 */
export class EndedIds {
  readonly #deps: EndedIdsDeps
  readonly #byId = new Map<string, EndedId>()
  readonly #queue = new Queue<EndedId>()

  constructor (deps: EndedIdsDeps) {
    this.#deps = deps
  }

  put (ended: Omit<EndedId, 'at'>): void {
    const kept = { ...ended, at: this.#deps.clock.monotonic() }
    this.#queue.push(kept)
    this.#byId.set(kept.id, kept)
    this.#trim()
  }

  find (id: string): EndedId | undefined {
    this.#trim()
    return this.#byId.get(id)
  }

  #trim (): void {
    const { clock, max, maxAgeMs } = this.#deps
    const oldestAt = clock.monotonic() - maxAgeMs
    for (let oldest = this.#queue.first; oldest !== undefined; oldest = this.#queue.first) {
      if (this.#queue.length <= max && oldest.at >= oldestAt) return
      this.#queue.shift()
      if (this.#byId.get(oldest.id) === oldest) this.#byId.delete(oldest.id)
    }
  }
}
