import type { OperationSeries, OperationTotals } from '../../monitoring/index.js'
import { defineMetrics, type MetricDefinition, type Sample } from '../metric.js'
import { toBuckets, toLabelValue } from '../samples.js'

/** Count and duration of the operations that the host reports; `totals` returns merged series, see `mergeSeries`. */
export function describeOperationMetrics (prefix: string, totals: () => OperationTotals): MetricDefinition[] {
  return defineMetrics(prefix, totals, [
    {
      name: 'operations_total',
      help: 'Ended operations, by status: success or error.',
      type: 'counter',
      labels: ['component', 'operation', 'status'],
      series: 'pairs × 2',
      query: 'sum by (operation) (rate(METRIC{status="error"}[5m])) / sum by (operation) (rate(METRIC[5m]))',
      read: ({ series }) => series.flatMap(countByStatus)
    },
    {
      name: 'operation_duration_seconds',
      help: 'Duration of the operations that reported one; prometheus.operationBucketsMs sets the buckets.',
      type: 'histogram',
      labels: ['component', 'operation'],
      series: 'pairs',
      query: 'histogram_quantile(0.95, sum by (le, component, operation) (rate(METRIC_bucket[5m])))',
      read: ({ boundsMs, series }) => series.flatMap(({ component, operation, durationSumMs, buckets, examples }) =>
        toBuckets({ boundsMs, buckets, sumMs: durationSumMs, examples }, { component, operation }))
    }
  ])
}

/** Makes component and operation safe as label values, and merges series that have the same labels as a result. */
export function mergeSeries ({ boundsMs, series }: OperationTotals): OperationTotals {
  const merged = new Map<string, OperationSeries>()
  for (const original of series) {
    const component = toLabelValue(original.component)
    const operation = toLabelValue(original.operation)
    // A label value contains no space.
    const key = `${component} ${operation}`
    const known = merged.get(key)
    merged.set(key, { ...(known === undefined ? original : addSeries(known, original)), component, operation })
  }
  return { boundsMs, series: [...merged.values()] }
}

function addSeries (a: OperationSeries, b: OperationSeries): OperationSeries {
  return {
    ...a,
    success: a.success + b.success,
    error: a.error + b.error,
    durationCount: a.durationCount + b.durationCount,
    durationSumMs: a.durationSumMs + b.durationSumMs,
    buckets: a.buckets.map((count, i) => count + b.buckets[i]!),
    examples: a.buckets.map((_, i) => a.examples[i] ?? b.examples[i])
  }
}

function countByStatus ({ component, operation, success, error }: OperationSeries): Sample[] {
  return [
    { labels: { component, operation, status: 'success' }, value: success },
    { labels: { component, operation, status: 'error' }, value: error }
  ]
}
