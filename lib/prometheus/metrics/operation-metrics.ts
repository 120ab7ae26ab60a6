import { toBuckets, type BucketSeries } from '../buckets.js'
import { toLabels, toSeries } from '../samples.js'
import type { MetricDefinition, Sample } from '../metric-definition.js'
import type { OperationSamples, OperationTotals } from '../sources.js'

const add = (a: number, b: number) => a + b

/** Count and duration of what the host reports as operations. */
export function describeOperationMetrics (prefix: string, operations: () => OperationTotals): MetricDefinition[] {
  const duration = `${prefix}operation_duration_seconds`
  return [
    {
      name: `${prefix}operations_total`,
      help: 'Operations that ended, by outcome.',
      type: 'counter',
      aggregator: 'sum',
      read: () => toSeries(operations().series.flatMap(countByStatus), add)
    },
    {
      name: duration,
      help: 'Duration of the operations that were measured.',
      type: 'histogram',
      aggregator: 'sum',
      read: () => {
        const { boundsMs, series } = operations()
        return mergeAlike(series).flatMap((one) => toBuckets(duration, boundsMs, one))
      }
    }
  ]
}

function countByStatus ({ component, operation, success, error }: OperationSamples): Sample[] {
  return [
    { labels: { component, operation, status: 'success' }, value: success },
    { labels: { component, operation, status: 'error' }, value: error }
  ]
}

// Names that differ only in characters no label may hold would give the same series twice.
function mergeAlike (series: readonly OperationSamples[]): BucketSeries[] {
  const merged = new Map<string, BucketSeries>()
  for (const { component, operation, durationSumMs, buckets } of series) {
    const labels = toLabels({ component, operation })
    const key = JSON.stringify(labels)
    const known = merged.get(key)
    merged.set(key, {
      labels,
      sumMs: durationSumMs + (known?.sumMs ?? 0),
      buckets: buckets.map((count, i) => count + (known?.buckets[i] ?? 0))
    })
  }
  return [...merged.values()]
}
