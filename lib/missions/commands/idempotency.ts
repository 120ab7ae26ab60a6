import type { Clock } from '../../base/clock.js'

interface Entry<T> { fingerprint: string, outcome: Promise<T>, forgetAt: number }

/** What became of a keyed call: its outcome, or that the key stands for another call. */
export type Keyed<T> = { isConflict: false, isRepeat: boolean, outcome: Promise<T> } | { isConflict: true }

/**
 * Remembers the outcome of calls by a key for a time, so that a call that is sent again is carried out once. Bounded:
 * the oldest goes first.
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
   * Runs `call` for a new key and gives the outcome of the first call for a known one. An outcome for which `keeps`
   * says no is forgotten, so that the call may be tried again. `call` never rejects.
   */
  once (key: string, fingerprint: string, call: () => Promise<T>, keeps: (outcome: T) => boolean): Keyed<T> {
    this.#forgetExpired()
    const known = this.#entries.get(key)
    if (known !== undefined) return known.fingerprint === fingerprint ? { isConflict: false, isRepeat: true, outcome: known.outcome } : { isConflict: true }
    this.#makeRoom()
    const outcome = call()
    const entry = { fingerprint, outcome, forgetAt: this.#clock.monotonic() + this.#keepMs }
    this.#entries.set(key, entry)
    outcome.then((value) => { if (!keeps(value) && this.#entries.get(key) === entry) this.#entries.delete(key) })
    return { isConflict: false, isRepeat: false, outcome }
  }

  // In the order of insertion, which is that of their age.
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
