import type { OperationLatency } from '../../../schemas/metrics.js'
import { LatencyBuckets } from './latency-buckets.js'
import type { OperationCounts } from './operations.js'

/** The number of operations whose latency is shown: the busiest ones. */
export const MAX_OPERATION_LATENCIES = 20

/**
 * The latency of the busiest operations of several processes together, busiest first. Each of `processes` has the
 * durations of its own busiest operations.
 */
export function operationLatencyOf (processes: ReadonlyArray<readonly OperationCounts[]>): OperationLatency[] {
  const merged = new Map<string, { component: string, operation: string, buckets: LatencyBuckets }>()
  for (const { component, operation, counts } of processes.flat()) {
    // A label value contains no space.
    const key = `${component} ${operation}`
    const known = merged.get(key) ?? { component, operation, buckets: new LatencyBuckets() }
    known.buckets.addAll(counts)
    merged.set(key, known)
  }
  return [...merged.values()].sort((a, b) => b.buckets.count - a.buckets.count).slice(0, MAX_OPERATION_LATENCIES)
    .map(({ component, operation, buckets }) => {
      const { p50, p95, p99, count } = buckets.percentiles()
      return { component, operation, count, p50Ms: p50, p95Ms: p95, p99Ms: p99 }
    })
}
