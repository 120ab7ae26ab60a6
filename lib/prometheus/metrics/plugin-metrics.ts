import { describeHealthMetrics } from './health-metrics.js'
import { countsByLabel } from '../samples.js'
import type { MetricDefinition } from '../metric-definition.js'
import { describeMissionLifeMetrics, describeMissionMetrics } from './mission-metrics.js'
import { readOnceAScrape } from '../once-a-scrape.js'
import { describeOperationMetrics } from './operation-metrics.js'
import type { ExpositionSources } from '../sources.js'
import { describeWebSocketMetrics } from './websocket-metrics.js'

/** Every metric of the plugin that is read from `liveSources`. */
export function describePluginMetrics (prefix: string, liveSources: ExpositionSources): MetricDefinition[] {
  const sources = readOnceAScrape(liveSources)
  return [
    ...describeMissionMetrics(sources.missionTotals),
    ...describeMissionLifeMetrics(prefix, sources.missionTotals),
    ...describeOperationMetrics(prefix, sources.operations),
    ...describeWebSocketMetrics(prefix, sources.hub),
    ...describeHealthMetrics(prefix, sources.health),
    {
      name: `${prefix}callback_errors_total`,
      help: 'Failures of callbacks of the host, by the place they were caught at.',
      type: 'counter',
      aggregator: 'sum',
      read: () => countsByLabel('callback', Object.entries(sources.callbackErrors()))
    }
  ]
}

/** How often a scrape had to leave a metric out. */
export function describeErrorCount (prefix: string, errors: () => number): MetricDefinition {
  return {
    name: `${prefix}scrape_collector_errors_total`,
    help: 'Metrics that a scrape had to leave out because they failed, hung or were invalid.',
    type: 'counter',
    aggregator: 'sum',
    read: () => [{ labels: {}, value: errors() }]
  }
}
