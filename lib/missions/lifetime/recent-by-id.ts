import type { Clock } from '../../base/clock.js'
import { Queue } from '../../base/queue.js'

export interface RecentByIdDeps {
  clock: Clock
  /** How many entries are kept. */
  max: number
  /** For how long, in ms. */
  maxAgeMs: number
}

/** `at` is in ms of the monotonic clock. */
interface Entry { readonly id: string, readonly at: number }

/**
 * Entries by id, bounded by count and age; the oldest is dropped first. A newer entry with the same id hides an older
 * one.
 */
export class RecentById<Kept extends Entry> {
  /** Oldest first, hidden ones included. */
  readonly entries = new Queue<Kept>()
  readonly #deps: RecentByIdDeps
  readonly #onDropped: () => void
  readonly #byId = new Map<string, Kept>()

  /** `onDropped` is called for each entry that is dropped. */
  constructor (deps: RecentByIdDeps, onDropped: () => void = () => {}) {
    this.#deps = deps
    this.#onDropped = onDropped
  }

  put (entry: Kept): void {
    this.entries.push(entry)
    this.#byId.set(entry.id, entry)
    this.trim()
  }

  find (id: string): Kept | undefined {
    this.trim()
    return this.#byId.get(id)
  }

  isNewest (entry: Kept): boolean { return this.#byId.get(entry.id) === entry }

  /** Drops what is too old; to be called before `entries` is read. */
  trim (): void {
    const { clock, max, maxAgeMs } = this.#deps
    const oldestAt = clock.monotonic() - maxAgeMs
    for (let oldest = this.entries.first; oldest !== undefined; oldest = this.entries.first) {
      if (this.entries.length <= max && oldest.at >= oldestAt) return
      this.#drop(oldest)
    }
  }

  /** Drops the oldest entries until at most `size` are left. */
  shrinkTo (size: number): void {
    while (this.entries.length > size) this.#drop(this.entries.first!)
  }

  #drop (oldest: Kept): void {
    this.entries.shift()
    if (this.isNewest(oldest)) this.#byId.delete(oldest.id)
    this.#onDropped()
  }
}
