import { defineMetrics, type MetricDefinition, type Sample } from '../metric.js'
import { bucketsByLabel, samplesByLabel, toLabelValue } from '../samples.js'
import type { MissionsByName } from '../sources.js'

const SERIES = 'names + 1'

/** The measures of missions by name, for the names that the host lists. */
export function describeNamedMetrics (prefix: string, names: () => MissionsByName): MetricDefinition[] {
  return defineMetrics(`${prefix}named_`, names, [
    {
      name: 'missions_started_total',
      type: 'counter',
      help: 'Missions that were started in this process, by name.',
      labels: ['name'],
      series: SERIES,
      query: 'sum by (name) (rate(METRIC[5m]))',
      read: (named) => samplesByLabel('name', named.map(({ name, started }) => [name, started]))
    },
    {
      name: 'missions_finished_total',
      type: 'counter',
      help: 'Missions that have ended in this process, by name and outcome: completed, cancelled or error.',
      labels: ['name', 'outcome'],
      series: `(${SERIES}) × 3`,
      query: 'sum by (name) (increase(METRIC{outcome="error"}[1h])) / sum by (name) (increase(METRIC[1h]))',
      read: (named) => named.flatMap(finishedSamples)
    },
    {
      name: 'mission_duration_seconds',
      type: 'histogram',
      help: 'Durations of ended missions, by name.',
      labels: ['name'],
      series: SERIES,
      query: 'histogram_quantile(0.95, sum by (le, name) (rate(METRIC_bucket[1h])))',
      read: (named) => bucketsByLabel('name', named.map(({ name, durations }) => [name, durations]))
    }
  ])
}

function finishedSamples ({ name, finished }: MissionsByName[number]): Sample[] {
  return Object.entries(finished).map(([outcome, value]) => ({ labels: { name: toLabelValue(name), outcome }, value }))
}
