const WINDOW_MS = 60_000

/** How many messages may still be sent within a minute. Times are in ms of the monotonic clock. */
export class MessageBudget {
  readonly #max: number
  #sentAt: number[] = []

  constructor (max: number) {
    this.#max = max
  }

  /** Takes one, if any is left. */
  take (at: number): boolean {
    this.#sentAt = this.#sentAt.filter((sentAt) => at - sentAt < WINDOW_MS)
    if (this.#sentAt.length >= this.#max) return false
    this.#sentAt.push(at)
    return true
  }
}
