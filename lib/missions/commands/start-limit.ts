/** At most `max` starts of one connection within `windowMs`. Times are arguments, in ms that never go back. */
export class StartLimit {
  readonly #max: number
  readonly #windowMs: number
  readonly #starts = new Map<string, number[]>()

  constructor (max: number, windowMs: number) {
    this.#max = max
    this.#windowMs = windowMs
  }

  /** Takes one start; `false` when there were too many. */
  take (connectionId: string, now: number): boolean {
    this.#sweep(now)
    const recent = (this.#starts.get(connectionId) ?? []).filter((at) => at > now - this.#windowMs)
    if (recent.length >= this.#max) return false
    // Set anew, so that the map is in the order of the last start.
    this.#starts.delete(connectionId)
    this.#starts.set(connectionId, [...recent, now])
    return true
  }

  #sweep (now: number): void {
    for (const [connectionId, starts] of this.#starts) {
      if (starts.at(-1)! > now - this.#windowMs) return
      this.#starts.delete(connectionId)
    }
  }
}
