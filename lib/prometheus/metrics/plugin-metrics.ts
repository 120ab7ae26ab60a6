import { defineMetrics, type MetricDefinition } from '../metric.js'
import { samplesByLabel } from '../samples.js'
import type { ExpositionSources } from '../sources.js'
import { describeBackplaneMetrics } from './backplane-metrics.js'
import { describeHealthMetrics } from './health-metrics.js'
import { describeMissionCounts, describeMissionGauges, describeMissionMetrics } from './mission-metrics.js'
import { describeOperationMetrics, mergeSeries } from './operation-metrics.js'
import { describeTenantMetrics } from './tenant-metrics.js'
import { describeWebSocketMetrics } from './websocket-metrics.js'

/** Every metric that is read from `sources`; each source is read at most once per scrape. */
export function describePluginMetrics (prefix: string, sources: ExpositionSources): MetricDefinition[] {
  const missionTotals = perScrape(() => sources.missionTotals())
  return [
    ...describeMissionGauges(missionTotals),
    ...describeMissionMetrics(prefix, missionTotals),
    ...describeMissionCounts(prefix, perScrape(() => sources.missionCounts())),
    ...(sources.tenantCounts === undefined ? [] : describeTenantMetrics(prefix, perScrape(sources.tenantCounts))),
    ...describeOperationMetrics(prefix, perScrape(() => mergeSeries(sources.operations()))),
    ...describeWebSocketMetrics(prefix, perScrape(() => sources.hub())),
    ...describeHealthMetrics(prefix, perScrape(() => sources.health())),
    ...(sources.backplane === undefined ? [] : describeBackplaneMetrics(prefix, perScrape(sources.backplane))),
    ...defineMetrics(prefix, () => sources.callbackErrors(), [{
      name: 'callback_errors_total',
      help: 'Errors of host callbacks that the plugin caught, by callback.',
      type: 'counter',
      read: (errors) => samplesByLabel('callback', Object.entries(errors))
    }])
  ]
}

/** How many metrics scrapes have left out. */
export function describeErrorCount (prefix: string, errors: () => number): MetricDefinition {
  const [definition] = defineMetrics(prefix, errors, [{
    name: 'scrape_collector_errors_total',
    help: 'Metrics that a scrape left out because they failed, timed out or were invalid.',
    type: 'counter',
    read: (count) => count
  }])
  return definition!
}

/**
 * The per-scrape memo: all metrics of a source see the same values.
 *
 * A scrape reads all its metrics in one synchronous run, even when the host scrapes its own registry. The value is
 * dropped right after that run.
 */
function perScrape<T> (read: () => T): () => T {
  let memo: { value: T } | undefined
  return () => {
    if (memo === undefined) {
      memo = { value: read() }
      queueMicrotask(() => { memo = undefined })
    }
    return memo.value
  }
}
