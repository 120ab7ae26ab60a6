/** The size of the bucket: this many seconds' worth of tokens may be taken in one burst. */
export const BURST_SECONDS = 2

/**
 * A token bucket: `perSecond` tokens on average, up to `BURST_SECONDS` times as many in a burst. Takes the monotonic
 * time in ms as an argument.
 */
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

  /** Takes one token; `false` if the bucket is empty. */
  take (now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#perSecond / 1_000)
    this.#filledAt = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }

  /** Returns a token that was taken. */
  putBack (): void {
    this.#tokens++
  }
}
