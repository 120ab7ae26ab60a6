export interface StartLimitOptions {
  /** How many starts of one principal are accepted within `windowMs`. */
  max: number
  windowMs: number
  /** How many principals are remembered; beyond it, the starts of further ones are refused. */
  maxPrincipals: number
}

/** Limits the starts of each principal. `now` is in ms of a monotonic clock. */
export class StartLimit {
  readonly #options: StartLimitOptions
  /** The times of the last starts of each principal, in the order of the last one. */
  readonly #starts = new Map<string, number[]>()

  constructor (options: StartLimitOptions) {
    this.#options = options
  }

  /** Counts one start; returns `false` if there were too many. */
  take (principal: string, now: number): boolean {
    const { max, windowMs, maxPrincipals } = this.#options
    this.#forgetExpired(now)
    const recent = (this.#starts.get(principal) ?? []).filter((at) => at > now - windowMs)
    // No owner is forgotten early: it could return with a new allowance.
    if (recent.length >= max || (recent.length === 0 && this.#starts.size >= maxPrincipals)) return false
    // Inserted again, so that the map is in the order of the last start.
    this.#starts.delete(principal)
    this.#starts.set(principal, [...recent, now])
    return true
  }

  #forgetExpired (now: number): void {
    for (const [principal, starts] of this.#starts) {
      if (starts.at(-1)! > now - this.#options.windowMs) return
      this.#starts.delete(principal)
    }
  }
}
