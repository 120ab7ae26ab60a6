import type { LatencySnapshot } from '../../../schemas/metrics.js'

const SLICES = 6
const SLICE_MS = 10_000
const SUB_BUCKETS_LOG2 = 5
const SUB_BUCKETS = 1 << SUB_BUCKETS_LOG2
/** Buckets cover durations from 2^-10 ms (1 µs) to 2^22 ms (70 minutes). */
const LOWEST_OCTAVE = -10
const OCTAVES = 32
/** Bucket 0 counts only durations of zero. */
const BUCKETS = 1 + OCTAVES * SUB_BUCKETS

// The upper half of an IEEE 754 double consists of the sign, 11 bits of exponent and 20 bits of mantissa. Cut after the
// first five bits of the mantissa it is, apart from a constant, the number of a log-linear bucket. This is several
// times cheaper than a logarithm.
const MANTISSA_BITS_CUT = 20 - SUB_BUCKETS_LOG2
const FIRST_BUCKET_BITS = (1023 + LOWEST_OCTAVE) << SUB_BUCKETS_LOG2

/** Numbers of durations by bucket. Several windows are added bucket by bucket. */
export type LatencyCounts = Array<[bucket: number, count: number]>

/**
 * Latency percentiles of the last minute in constant memory: log-linear histograms with 32 buckets per octave, in six
 * rotating slices of 10 s. The error of a percentile is at most 1/64 (1.6 %). Durations below 1 µs and above 70 minutes
 * are counted as these limits.
 *
 * Times are in ms of the monotonic clock.
 */
export class LatencyWindow {
  readonly #slices = Array.from({ length: SLICES }, () => new Uint32Array(BUCKETS))
  readonly #bits = new DataView(new ArrayBuffer(8))
  #sliceNumber: number
  #current: Uint32Array

  constructor (now: number) {
    this.#sliceNumber = Math.floor(now / SLICE_MS)
    this.#current = this.#sliceAt(this.#sliceNumber)
  }

  /** Counts a duration of `durationMs`, a finite number of at least 0. */
  record (durationMs: number, nowMs: number): void {
    this.#rotate(nowMs)
    this.#current[this.#bucketOf(durationMs)]! += 1
  }

  /** Percentiles of the durations within the window; all 0 if there are none. */
  snapshot (nowMs: number): LatencySnapshot {
    return snapshotOf(this.#sums(nowMs))
  }

  /** The numbers of durations within the window by bucket, without empty buckets. */
  counts (nowMs: number): LatencyCounts {
    const counts: LatencyCounts = []
    for (const [bucket, count] of this.#sums(nowMs).entries()) if (count > 0) counts.push([bucket, count])
    return counts
  }

  #sums (nowMs: number): Uint32Array {
    this.#rotate(nowMs)
    const sums = new Uint32Array(BUCKETS)
    for (const slice of this.#slices) {
      for (let bucket = 0; bucket < BUCKETS; bucket++) sums[bucket]! += slice[bucket]!
    }
    return sums
  }

  #sliceAt (sliceNumber: number): Uint32Array {
    return this.#slices[sliceNumber % SLICES]!
  }

  #rotate (nowMs: number): void {
    const now = Math.floor(nowMs / SLICE_MS)
    if (now <= this.#sliceNumber) return
    // After a gap longer than the window each slice is emptied once, regardless of the length of the gap.
    const firstStale = Math.max(this.#sliceNumber + 1, now - SLICES + 1)
    for (let sliceNumber = firstStale; sliceNumber <= now; sliceNumber++) this.#sliceAt(sliceNumber).fill(0)
    this.#sliceNumber = now
    this.#current = this.#sliceAt(now)
  }

  #bucketOf (durationMs: number): number {
    if (durationMs === 0) return 0
    this.#bits.setFloat64(0, durationMs)
    const bucket = (this.#bits.getUint32(0) >>> MANTISSA_BITS_CUT) - FIRST_BUCKET_BITS + 1
    return Math.min(Math.max(bucket, 1), BUCKETS - 1)
  }
}

/** The latency of several processes together. Unknown buckets are ignored. */
export function latencyOf (windows: readonly LatencyCounts[]): LatencySnapshot {
  const sums = new Uint32Array(BUCKETS)
  for (const [bucket, count] of windows.flat()) if (bucket < BUCKETS) sums[bucket]! += count
  return snapshotOf(sums)
}

function snapshotOf (sums: Uint32Array): LatencySnapshot {
  const count = sums.reduce((sum, one) => sum + one, 0)
  const [p50, p95, p99] = quantiles(sums, [50, 95, 99].map((percent) => Math.ceil(percent * count / 100)))
  return { p50: p50!, p95: p95!, p99: p99!, count, windowMs: SLICES * SLICE_MS }
}

/** The middle of the bucket that contains each rank. Ranks count from 1 and must be sorted. */
function quantiles (counts: Uint32Array, ranks: readonly number[]): number[] {
  let bucket = 0
  let seen = counts[0]!
  return ranks.map((rank) => {
    while (seen < rank) seen += counts[++bucket]!
    return middleOf(bucket)
  })
}

function middleOf (bucket: number): number {
  if (bucket === 0) return 0
  const octave = LOWEST_OCTAVE + Math.floor((bucket - 1) / SUB_BUCKETS)
  return 2 ** octave * (1 + ((bucket - 1) % SUB_BUCKETS + 0.5) / SUB_BUCKETS)
}
