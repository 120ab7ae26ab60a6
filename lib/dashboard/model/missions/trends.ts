import type { Entry } from './entry.js'
import { elapsedMs, type Mission } from './mission.js'

/** The counts of one time span; `null` if unknown. Times are in ms, `at` is the start of the span. */
export interface Bucket {
  readonly at: number
  active: number | null
  stalled: number | null
  completed: number | null
  cancelled: number | null
  error: number | null
  errorShare: number | null
  p50: number | null
  p95: number | null
}

export const BUCKET_MS = 30_000
export const BUCKETS = 60

export interface TrendsInput {
  entries: Iterable<Entry>
  nowMs: number
  /** Everything that ended after this time is among the entries. */
  completeSinceMs: number
}

/** The last 30 minutes from the missions that the page knows; the last bucket is not over yet. */
export function computeTrends ({ entries, nowMs, completeSinceMs }: TrendsInput): Bucket[] {
  const first = Math.floor(nowMs / BUCKET_MS) * BUCKET_MS - (BUCKETS - 1) * BUCKET_MS
  const buckets = Array.from({ length: BUCKETS }, (_, index) => newBucket(first + index * BUCKET_MS, 0))
  const durations = buckets.map((): number[] => [])
  for (const { mission } of entries) addMission(mission.peek(), { buckets, durations, first, nowMs })
  for (const [index, bucket] of buckets.entries()) {
    if (bucket.at + BUCKET_MS <= completeSinceMs) buckets[index] = newBucket(bucket.at, null)
    else summarize(bucket, durations[index]!)
  }
  return buckets
}

const newBucket = (at: number, count: 0 | null): Bucket => ({
  at,
  active: count,
  stalled: count,
  completed: count,
  cancelled: count,
  error: count,
  errorShare: null,
  p50: null,
  p95: null
})

interface Sums {
  buckets: Bucket[]
  durations: number[][]
  first: number
  nowMs: number
}

function addMission (mission: Mission, { buckets, durations, first, nowMs }: Sums): void {
  const indexOf = (at: number) => Math.floor((at - first) / BUCKET_MS)
  const { startedAt, endedAt, phase, isStalled } = mission
  // Active at the end of a bucket; for the last one: now.
  const from = Math.max(0, indexOf(startedAt))
  const to = phase === 'active' ? BUCKETS : Math.min(BUCKETS, indexOf(endedAt ?? startedAt))
  for (let index = from; index < to; index++) buckets[index]!.active! += 1
  if (phase === 'active') {
    if (isStalled) buckets[BUCKETS - 1]!.stalled! += 1
    return
  }
  const ended = buckets[indexOf(endedAt ?? startedAt)]
  if (ended === undefined) return
  ended[phase]! += 1
  durations[indexOf(endedAt ?? startedAt)]!.push(elapsedMs(mission, nowMs))
}

function summarize (bucket: Bucket, durations: number[]): void {
  const ended = bucket.completed! + bucket.cancelled! + bucket.error!
  if (ended === 0) return
  bucket.errorShare = bucket.error! / ended
  durations.sort((a, b) => a - b)
  bucket.p50 = quantile(durations, 0.5)
  bucket.p95 = quantile(durations, 0.95)
}

/** The value below which this share of sorted values lies; `null` without values. */
export function quantile (sorted: readonly number[], share: number): number | null {
  if (sorted.length === 0) return null
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!
}
