import type { Clock } from '../../base/clock.js'

interface Entry<T> { fingerprint: string, outcome: Promise<T>, forgetAt: number }

/** The result of a keyed call: its outcome, or a conflict with another call under the same key. */
export type Keyed<T> = { isConflict: false, isRepeat: boolean, outcome: Promise<T> } | { isConflict: true }

/**
 * Remembers outcomes of calls by a key for a limited time, so that a repeated call is carried out once. Bounded; the
 * oldest entry is dropped first.
 */
export class Idempotency<T> {
  readonly #clock: Clock
  readonly #keepMs: number
  readonly #max: number
  readonly #entries = new Map<string, Entry<T>>()

  constructor (clock: Clock, { keepMs, max }: { keepMs: number, max: number }) {
    this.#clock = clock
    this.#keepMs = keepMs
    this.#max = max
  }

  /**
   * Runs `call` for a new key, and returns the outcome of the first call for a known one. An outcome that `keeps`
   * denies is forgotten, so that the call can be tried again. `call` must not reject.
   */
  once (key: string, fingerprint: string, call: () => Promise<T>, keeps: (outcome: T) => boolean): Keyed<T> {
    this.#forgetExpired()
    const known = this.#entries.get(key)
    if (known !== undefined && known.fingerprint !== fingerprint) return { isConflict: true }
    if (known !== undefined) return { isConflict: false, isRepeat: true, outcome: known.outcome }
    this.#makeRoom()
    const outcome = call()
    const entry = { fingerprint, outcome, forgetAt: this.#clock.monotonic() + this.#keepMs }
    this.#entries.set(key, entry)
    outcome.then((value) => { if (!keeps(value) && this.#entries.get(key) === entry) this.#entries.delete(key) })
    return { isConflict: false, isRepeat: false, outcome }
  }

  // A Map iterates in the order of insertion, so the oldest entry comes first.
  #forgetExpired (): void {
    const now = this.#clock.monotonic()
    for (const [key, { forgetAt }] of this.#entries) {
      if (forgetAt > now) return
      this.#entries.delete(key)
    }
  }

  #makeRoom (): void {
    for (const key of this.#entries.keys()) {
      if (this.#entries.size < this.#max) return
      this.#entries.delete(key)
    }
  }
}
