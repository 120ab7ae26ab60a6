import type { Clock } from '../../base/clock.js'
import { BackplaneEntry } from '../../base/errors.js'

/** At most one warning in this time, in ms. */
const WARN_EVERY_MS = 10_000

export interface BrokenEntriesDeps {
  clock: Clock
  onWarning: (err: unknown) => void
  onDropped?: (count: number) => void
}

/** Counts entries that were dropped because they are broken, and warns of them now and then. */
export class BrokenEntries {
  readonly #clock: Clock
  readonly #onWarning: (err: unknown) => void
  readonly #onDropped: ((count: number) => void) | undefined
  #total = 0
  #warnedAt = -Infinity

  constructor ({ clock, onWarning, onDropped }: BrokenEntriesDeps) {
    this.#clock = clock
    this.#onWarning = onWarning
    this.#onDropped = onDropped
  }

  add (count: number): void {
    this.#total += count
    this.#onDropped?.(count)
    const now = this.#clock.monotonic()
    if (now - this.#warnedAt < WARN_EVERY_MS) return
    this.#warnedAt = now
    this.#onWarning(new BackplaneEntry(this.#total))
  }
}
