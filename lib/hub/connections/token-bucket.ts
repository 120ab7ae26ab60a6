/** How many seconds' worth of frames may come in one burst. */
export const BURST_SECONDS = 2

/** A token bucket: `perSecond` on average, twice as many in a burst. Takes the time as an argument, in ms that never go back. */
export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #filledAt: number

  constructor (perSecond: number, now: number) {
    this.#perSecond = perSecond
    this.#burst = perSecond * BURST_SECONDS
    this.#tokens = this.#burst
    this.#filledAt = now
  }

  /** Takes one token; `false` when there is none left. */
  take (now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#perSecond / 1_000)
    this.#filledAt = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
