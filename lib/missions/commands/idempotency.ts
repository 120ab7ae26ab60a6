import type { Clock } from '../../base/clock.js'

interface Entry<T> { fingerprint: string, outcome: Promise<T>, forgetAt: number }

export interface IdempotencyOptions {
  keepMs: number
  /** How many keys are remembered. Beyond it, a call with a new key is refused: dropping a key could run it twice. */
  max: number
}

/** The result of a keyed call: its outcome, or a conflict with another call under the same key. */
export type Keyed<T> = { isConflict: false, outcome: Promise<T> } | { isConflict: true }

/** Remembers outcomes of calls by a key for a limited time, so that a repeated call is carried out once. */
export class Idempotency<T> {
  readonly #clock: Clock
  readonly #options: IdempotencyOptions
  readonly #entries = new Map<string, Entry<T>>()

  constructor (clock: Clock, options: IdempotencyOptions) {
    this.#clock = clock
    this.#options = options
  }

  /** Whether no further key can be remembered. */
  get isFull (): boolean {
    this.#forgetExpired()
    return this.#entries.size >= this.#options.max
  }

  /** What is known of the key; `undefined` for a new one. */
  find (key: string, fingerprint: string): Keyed<T> | undefined {
    this.#forgetExpired()
    const known = this.#entries.get(key)
    if (known === undefined) return undefined
    return known.fingerprint === fingerprint ? { isConflict: false, outcome: known.outcome } : { isConflict: true }
  }

  /**
   * Runs `call` under a new key, which is known before the call begins. An outcome that `keeps` denies is forgotten, so
   * that the call can be tried again. `call` must not reject.
   */
  async run (key: string, fingerprint: string, call: () => Promise<T>, keeps: (outcome: T) => boolean): Promise<T> {
    const outcome = Promise.resolve().then(call)
    const entry = { fingerprint, outcome, forgetAt: this.#clock.monotonic() + this.#options.keepMs }
    this.#entries.set(key, entry)
    const value = await outcome
    if (!keeps(value) && this.#entries.get(key) === entry) this.#entries.delete(key)
    return value
  }

  // A Map iterates in the order of insertion, so the oldest entry comes first.
  #forgetExpired (): void {
    const now = this.#clock.monotonic()
    for (const [key, { forgetAt }] of this.#entries) {
      if (forgetAt > now) return
      this.#entries.delete(key)
    }
  }
}
