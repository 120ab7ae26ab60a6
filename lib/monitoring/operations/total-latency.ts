import type { LatencyHistogram } from '../../../schemas/metrics.js'
import { createUnifiedId } from '../../base/clock.js'
import { bucketOf, LatencyBuckets, type LatencyCounts } from './latency-buckets.js'

/** A histogram of durations that can be merged with others. */
export interface TotalLatencyCounts { counts: LatencyCounts, sumMs: number }

/**
 * All durations since this object was created, its epoch. The counts never fall, so the difference of any two readings
 * is the histogram of the time between them, no matter how many readings were missed.
 */
export class TotalLatency {
  readonly #epoch = createUnifiedId('epoch')
  readonly #buckets = new LatencyBuckets()
  #sumMs = 0

  /** Counts a duration of `durationMs`, a finite number of at least 0. */
  record (durationMs: number): void {
    this.#buckets.add(bucketOf(durationMs), 1)
    this.#addMs(durationMs)
  }

  /** Adds the counts of another histogram. */
  add ({ counts, sumMs }: TotalLatencyCounts): void {
    this.#buckets.addAll(counts)
    this.#addMs(sumMs)
  }

  counts (): TotalLatencyCounts {
    return { counts: [...this.#buckets], sumMs: this.#sumMs }
  }

  read (): LatencyHistogram {
    return { epoch: this.#epoch, count: this.#buckets.count, sumMs: this.#sumMs, buckets: [...this.#buckets] }
  }

  // Clamped, because absurd durations could otherwise make the sum infinite.
  #addMs (ms: number): void {
    this.#sumMs += Math.min(ms, Number.MAX_SAFE_INTEGER)
  }
}
