import type { LatencySnapshot } from '../../../schemas/metrics.js'
import { bucketOf, LatencyBuckets, type LatencyCounts } from './latency-buckets.js'

const SLICES = 6
const SLICE_MS = 10_000
const WINDOW_MS = SLICES * SLICE_MS

/**
 * The durations of the last minute in constant memory: log-linear histograms in six rotating slices of 10 s.
 *
 * Times are in ms of the monotonic clock.
 */
export class LatencyWindow {
  readonly #slices = Array.from({ length: SLICES }, () => new LatencyBuckets())
  #sliceNumber: number
  #current: LatencyBuckets

  constructor (now: number) {
    this.#sliceNumber = Math.floor(now / SLICE_MS)
    this.#current = this.#sliceAt(this.#sliceNumber)
  }

  /** Counts a duration of `durationMs`, a finite number of at least 0. */
  record (durationMs: number, nowMs: number): void {
    this.add(bucketOf(durationMs), nowMs)
  }

  /** Counts a duration whose bucket is known. */
  add (bucket: number, nowMs: number): void {
    this.#rotate(nowMs)
    this.#current.add(bucket, 1)
  }

  /** The number of durations within the window. */
  count (nowMs: number): number {
    this.#rotate(nowMs)
    return this.#slices.reduce((sum, { count }) => sum + count, 0)
  }

  /** Percentiles of the durations within the window; all 0 if there are none. */
  snapshot (nowMs: number): LatencySnapshot {
    return snapshotOf(this.#sums(nowMs))
  }

  /** The numbers of durations within the window by bucket, without empty buckets. */
  counts (nowMs: number): LatencyCounts {
    return [...this.#sums(nowMs)]
  }

  #sums (nowMs: number): LatencyBuckets {
    this.#rotate(nowMs)
    const sums = new LatencyBuckets()
    for (const slice of this.#slices) sums.addAll(slice)
    return sums
  }

  #sliceAt (sliceNumber: number): LatencyBuckets {
    return this.#slices[sliceNumber % SLICES]!
  }

  #rotate (nowMs: number): void {
    const now = Math.floor(nowMs / SLICE_MS)
    if (now <= this.#sliceNumber) return
    // After a gap longer than the window each slice is emptied once, regardless of the length of the gap.
    const firstStale = Math.max(this.#sliceNumber + 1, now - SLICES + 1)
    for (let sliceNumber = firstStale; sliceNumber <= now; sliceNumber++) this.#sliceAt(sliceNumber).clear()
    this.#sliceNumber = now
    this.#current = this.#sliceAt(now)
  }
}

/** The latency of several processes together. */
export function latencyOf (windows: readonly LatencyCounts[]): LatencySnapshot {
  const sums = new LatencyBuckets()
  for (const counts of windows) sums.addAll(counts)
  return snapshotOf(sums)
}

const snapshotOf = (sums: LatencyBuckets): LatencySnapshot => ({ ...sums.percentiles(), windowMs: WINDOW_MS })
