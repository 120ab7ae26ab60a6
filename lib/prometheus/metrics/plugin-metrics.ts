import type { MetricDefinition } from '../metric.js'
import type { ExpositionSources } from '../sources.js'
import { describeAlertMetrics } from './alert-metrics.js'
import { describeBackplaneMetrics } from './backplane-metrics.js'
import { describeHealthMetrics, describeHealthTransitions } from './health-metrics.js'
import { describeMissionGauges } from './mission-gauges.js'
import { describeMissionCounts, describeMissionMeasures, describeMissionTotals } from './mission-metrics.js'
import { describeNamedMetrics } from './named-metrics.js'
import { describeOperationMetrics, mergeSeries } from './operation-metrics.js'
import { describeBuildInfo, describeCallbackErrors } from './process-metrics.js'
import { describeTenantMetrics } from './tenant-metrics.js'
import { describeWebSocketMetrics } from './websocket-metrics.js'

/** The metrics about one subject. */
export interface MetricSection { title: string, metrics: MetricDefinition[] }

/** Every metric that is read from `sources`; each source is read at most once per scrape. */
export function describeSections (prefix: string, sources: ExpositionSources): MetricSection[] {
  const { tenantCounts, missionsByName, alerts, backplane } = sources
  const missionTotals = perScrape(() => sources.missionTotals())
  const optional = <T>(title: string, source: (() => T) | undefined, describe: Describe<T>): MetricSection[] =>
    source === undefined ? [] : [{ title, metrics: describe(prefix, perScrape(source)) }]
  return [
    { title: 'Missions, as the protocol defines them', metrics: describeMissionGauges(missionTotals) },
    {
      title: 'Missions',
      metrics: [
        ...describeMissionMeasures(prefix, perScrape(() => sources.missionMeasures())),
        ...describeMissionTotals(prefix, missionTotals),
        ...describeMissionCounts(prefix, perScrape(() => sources.missionCounts()))
      ]
    },
    ...optional('Missions by name', missionsByName, describeNamedMetrics),
    ...optional('Missions by tenant', tenantCounts, describeTenantMetrics),
    {
      title: 'Operations',
      metrics: describeOperationMetrics(prefix, perScrape(() => mergeSeries(sources.operations())))
    },
    { title: 'WebSocket', metrics: describeWebSocketMetrics(prefix, perScrape(() => sources.hub())) },
    {
      title: 'Health',
      metrics: [
        ...describeHealthMetrics(prefix, perScrape(() => sources.health())),
        ...describeHealthTransitions(prefix, () => sources.healthTransitions())
      ]
    },
    ...optional('Alerts', alerts, describeAlertMetrics),
    ...optional('Backplane', backplane, describeBackplaneMetrics),
    {
      title: 'The plugin',
      metrics: [
        describeBuildInfo(prefix, () => sources.build()),
        describeCallbackErrors(prefix, () => sources.callbackErrors())
      ]
    }
  ]
}

type Describe<T> = (prefix: string, source: () => T) => MetricDefinition[]

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
