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

const BITS = new DataView(new ArrayBuffer(8))

const ROW_LOG2 = 5
const ROW = 1 << ROW_LOG2

/** Numbers of durations by bucket, without empty buckets. Several histograms are added bucket by bucket. */
export type LatencyCounts = Array<[bucket: number, count: number]>

/** Percentiles in ms and the number of durations; all 0 if there are none. */
export interface LatencyPercentiles { p50: number, p95: number, p99: number, count: number }

/** The bucket of a duration of `durationMs`, a finite number of at least 0. */
export function bucketOf (durationMs: number): number {
  if (durationMs === 0) return 0
  BITS.setFloat64(0, durationMs)
  const bucket = (BITS.getUint32(0) >>> MANTISSA_BITS_CUT) - FIRST_BUCKET_BITS + 1
  return Math.min(Math.max(bucket, 1), BUCKETS - 1)
}

/**
 * A log-linear histogram of durations with 32 buckets per octave: the error of a percentile is at most 1/64 (1.6 %).
 * Durations below 1 µs and above 70 minutes are counted as these limits. Memory is used only where durations are.
 */
export class LatencyBuckets {
  readonly #rows: Array<Float64Array | undefined> = []
  #count = 0

  get count (): number { return this.#count }

  /** Counts in one bucket. */
  add (bucket: number, count: number): void {
    const row = this.#rows[bucket >> ROW_LOG2] ??= new Float64Array(ROW)
    row[bucket & (ROW - 1)]! += count
    this.#count += count
  }

  /** Adds the counts of another histogram. Unknown buckets are ignored. */
  addAll (counts: Iterable<readonly [bucket: number, count: number]>): void {
    for (const [bucket, count] of counts) if (bucket < BUCKETS) this.add(bucket, count)
  }

  clear (): void {
    this.#rows.length = 0
    this.#count = 0
  }

  /** The counts in the order of the buckets. */
  * [Symbol.iterator] (): Generator<[bucket: number, count: number]> {
    for (const [row, counts] of this.#rows.entries()) {
      if (counts === undefined) continue
      for (let i = 0; i < ROW; i++) if (counts[i]! > 0) yield [(row << ROW_LOG2) + i, counts[i]!]
    }
  }

  percentiles (): LatencyPercentiles {
    const count = this.#count
    const [p50, p95, p99] = this.#quantiles([50, 95, 99].map((percent) => Math.ceil(percent * count / 100)))
    return { p50: p50!, p95: p95!, p99: p99!, count }
  }

  /** The middle of the bucket that contains each rank. Ranks count from 1 and must be sorted. */
  #quantiles (ranks: readonly number[]): number[] {
    const counts = this[Symbol.iterator]()
    let bucket = 0
    let seen = 0
    return ranks.map((rank) => {
      while (seen < rank) {
        const [next, count] = counts.next().value!
        bucket = next
        seen += count
      }
      return middleOf(bucket)
    })
  }
}

function middleOf (bucket: number): number {
  if (bucket === 0) return 0
  const octave = LOWEST_OCTAVE + Math.floor((bucket - 1) / SUB_BUCKETS)
  return 2 ** octave * (1 + ((bucket - 1) % SUB_BUCKETS + 0.5) / SUB_BUCKETS)
}
