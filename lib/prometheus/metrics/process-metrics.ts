import { collectDefaultMetrics, Registry } from 'prom-client'
import type { MetricDefinition, Sample } from '../metric-definition.js'

type ProcessMetric = Omit<MetricDefinition, 'read'> & { get (): Promise<{ values: Sample[] }> }

// prom-client cannot stop what it starts here (an event loop monitor and a garbage collection observer), so it is
// started at most once a process instead of once an app. The figures are those of the process in any case.
let shared: Registry | undefined

/** prom-client's metrics of the process and the runtime, for one registry more. */
export function describeProcessMetrics (): MetricDefinition[] {
  shared ??= startCollecting()
  return (shared.getMetricsAsArray() as unknown as ProcessMetric[]).map((metric) => ({
    name: metric.name,
    help: metric.help,
    type: metric.type,
    aggregator: metric.aggregator,
    // Copies: a registry with default labels writes them into the samples it was given, and these are everyone's.
    read: async () => (await metric.get()).values.map((sample) => ({ ...sample }))
  }))
}

function startCollecting (): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}
