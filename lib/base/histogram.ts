/** One duration as an example of its bucket, with the trace in which it was measured. `at` is in ms since 1970. */
export interface TracedDuration { traceId: string, ms: number, at: number }

/** A copy of a histogram. `examples[i]` is the newest one of `buckets[i]`. */
export interface HistogramCounts {
  boundsMs: readonly number[]
  buckets: readonly number[]
  sumMs: number
  examples: ReadonlyArray<TracedDuration | undefined>
}

/** Counts durations in buckets: `buckets[i]` those up to `boundsMs[i]`, the last bucket all longer ones. */
export class Histogram {
  readonly boundsMs: readonly number[]
  readonly #buckets: number[]
  readonly #examples: Array<TracedDuration | undefined> = []
  #sumMs = 0

  constructor (boundsMs: readonly number[]) {
    this.boundsMs = boundsMs
    this.#buckets = new Array<number>(boundsMs.length + 1).fill(0)
  }

  /** Counts `count` durations of `ms` each. */
  record (ms: number, count = 1): void {
    this.#buckets[this.#bucketOf(ms)]! += count
    // Clamped, because two absurd durations could otherwise make the sum infinite.
    this.#sumMs += Math.min(ms, Number.MAX_SAFE_INTEGER) * count
  }

  /** Keeps a recorded duration as the example of its bucket. */
  keepExample (example: TracedDuration): void {
    this.#examples[this.#bucketOf(example.ms)] = example
  }

  read (): HistogramCounts {
    return { boundsMs: this.boundsMs, buckets: [...this.#buckets], sumMs: this.#sumMs, examples: [...this.#examples] }
  }

  #bucketOf (ms: number): number {
    const { length } = this.boundsMs
    let bucket = 0
    while (bucket < length && ms > this.boundsMs[bucket]!) bucket++
    return bucket
  }
}
