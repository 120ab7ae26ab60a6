/** Counts durations in buckets: `buckets[i]` those up to `boundsMs[i]`, the last bucket all longer ones. */
export class Histogram {
  readonly boundsMs: readonly number[]
  readonly #buckets: number[]
  #sumMs = 0

  constructor (boundsMs: readonly number[]) {
    this.boundsMs = boundsMs
    this.#buckets = new Array<number>(boundsMs.length + 1).fill(0)
  }

  record (ms: number): void {
    const at = this.boundsMs.findIndex((bound) => ms <= bound)
    this.#buckets[at < 0 ? this.boundsMs.length : at]!++
    this.#sumMs += ms
  }

  read (): { boundsMs: readonly number[], buckets: readonly number[], sumMs: number } {
    return { boundsMs: this.boundsMs, buckets: [...this.#buckets], sumMs: this.#sumMs }
  }
}
