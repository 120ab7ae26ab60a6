import { BUCKET_MS, type Bucket } from '../../model/missions/trends.js'
import type { OperationPoint } from '../../model/session.js'

type Values = Array<number | null>

/** The last percentiles within each bucket. */
export function operationSeries (
  points: readonly OperationPoint[],
  buckets: readonly Bucket[]
): { p95: Values; p99: Values } {
  const first = buckets[0]?.at ?? 0
  const p95: Values = buckets.map(() => null)
  const p99: Values = buckets.map(() => null)
  for (const point of points) {
    const index = Math.floor((point.at - first) / BUCKET_MS)
    if (index < 0 || index >= buckets.length) continue
    p95[index] = point.p95
    p99[index] = point.p99
  }
  return { p95, p99 }
}
