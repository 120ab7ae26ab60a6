import type { HealthSnapshot, HealthState } from '../../../schemas/health.js'
import { defineMetrics, type MetricDefinition } from '../metric.js'
import { samplesByLabel } from '../samples.js'

const STATES: readonly HealthState[] = ['healthy', 'degraded', 'critical', 'unknown']

/** The last known health; a scrape never runs a health check. */
export function describeHealthMetrics (prefix: string, health: () => HealthSnapshot): MetricDefinition[] {
  return defineMetrics(`${prefix}health_`, health, [
    {
      name: 'status',
      help: '1 for the current health status, 0 for the three others.',
      type: 'gauge',
      aggregator: 'max',
      read: ({ status }) => STATES.map((state) => ({ labels: { status: state }, value: state === status ? 1 : 0 }))
    },
    {
      name: 'component_up',
      help: '0 while the component is unhealthy, otherwise 1.',
      type: 'gauge',
      aggregator: 'min',
      // If two components share a label value, an unhealthy one must show.
      read: ({ components }) => samplesByLabel('component', readComponents(components), Math.min)
    }
  ])
}

const readComponents = (components: HealthSnapshot['components']): Array<[string, number]> =>
  Object.entries(components).map(([name, { status }]) => [name, status === 'unhealthy' ? 0 : 1])
