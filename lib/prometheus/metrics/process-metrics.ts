import { defineMetrics, type MetricDefinition } from '../metric.js'
import { samplesByLabel, toLabelValue } from '../samples.js'
import type { BuildInfo } from '../sources.js'

/** Which versions run. */
export function describeBuildInfo (prefix: string, build: () => BuildInfo): MetricDefinition {
  const [definition] = defineMetrics(prefix, build, [{
    name: 'build_info',
    help: 'Always 1; its labels are the versions of the plugin, of the protocol and of the service.',
    type: 'gauge',
    aggregator: 'first',
    labels: ['protocol_version', 'service_version', 'version'],
    query: 'count by (version, service_version) (METRIC)',
    read: ({ version, protocolVersion, serviceVersion }) => [{
      labels: {
        version: toLabelValue(version),
        protocol_version: String(protocolVersion),
        service_version: toLabelValue(serviceVersion)
      },
      value: 1
    }]
  }])
  return definition!
}

/** Errors in functions of the host. */
export function describeCallbackErrors (
  prefix: string, errors: () => Readonly<Record<string, number>>
): MetricDefinition {
  const [definition] = defineMetrics(prefix, errors, [{
    name: 'callback_errors_total',
    help: 'Errors of host callbacks that the plugin caught, by callback.',
    type: 'counter',
    labels: ['callback'],
    series: '16',
    query: 'sum by (callback) (increase(METRIC[1h])) > 0',
    read: (counts) => samplesByLabel('callback', Object.entries(counts))
  }])
  return definition!
}

/** How the scrapes themselves went. */
export interface ScrapeTotals {
  /** How long the previous scrape took; 0 before the first one. */
  durationMs: number
  /** How many metrics scrapes have left out. */
  errors: number
}

/** The duration of the previous scrape, and last the number of metrics that scrapes have left out. */
export function describeScrape (prefix: string, totals: () => ScrapeTotals): [MetricDefinition, MetricDefinition] {
  const [duration, errors] = defineMetrics(`${prefix}scrape_`, totals, [
    {
      name: 'duration_seconds',
      help: 'How long the plugin took for the previous scrape; 0 before the first one.',
      type: 'gauge',
      aggregator: 'max',
      query: 'max by (job) (METRIC) > 1',
      read: ({ durationMs }) => durationMs / 1_000
    },
    {
      name: 'collector_errors_total',
      help: 'Metrics that a scrape left out because they failed, timed out or were invalid.',
      type: 'counter',
      query: 'increase(METRIC[10m]) > 0',
      read: (scrapes) => scrapes.errors
    }
  ])
  return [duration!, errors!]
}
