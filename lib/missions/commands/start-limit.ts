/** At most `max` starts per connection within `windowMs`. `now` is in ms of a monotonic clock. */
export class StartLimit {
  readonly #max: number
  readonly #windowMs: number
  readonly #starts = new Map<string, number[]>()

  constructor (max: number, windowMs: number) {
    this.#max = max
    this.#windowMs = windowMs
  }

  /** Counts one start; returns `false` if there were too many. */
  take (connectionId: string, now: number): boolean {
    this.#forgetExpired(now)
    const recent = (this.#starts.get(connectionId) ?? []).filter((at) => at > now - this.#windowMs)
    if (recent.length >= this.#max) return false
    // Inserted again, so that the map is in the order of the last start.
    this.#starts.delete(connectionId)
    this.#starts.set(connectionId, [...recent, now])
    return true
  }

  #forgetExpired (now: number): void {
    for (const [connectionId, starts] of this.#starts) {
      if (starts.at(-1)! > now - this.#windowMs) return
      this.#starts.delete(connectionId)
    }
  }
}
