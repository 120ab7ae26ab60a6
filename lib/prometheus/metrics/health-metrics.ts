import type { HealthSnapshot, HealthState } from '../../../schemas/health.js'
import { toSeries } from '../samples.js'
import type { MetricDefinition } from '../metric-definition.js'

const STATES: readonly HealthState[] = ['healthy', 'degraded', 'critical', 'unknown']

/** The last known health; a scrape never runs a check. */
export function describeHealthMetrics (prefix: string, health: () => HealthSnapshot): MetricDefinition[] {
  return [
    {
      name: `${prefix}health_status`,
      help: '1 for the present health status, 0 for the three others.',
      type: 'gauge',
      aggregator: 'max',
      read: () => {
        const present = health().status
        return STATES.map((status) => ({ labels: { status }, value: status === present ? 1 : 0 }))
      }
    },
    {
      name: `${prefix}health_component_up`,
      help: '1 while a component works, be it degraded, 0 while it is unhealthy.',
      type: 'gauge',
      aggregator: 'min',
      // Of components whose names became alike, one that is down must show.
      read: () => toSeries(Object.entries(health().components).map(([component, { status }]) =>
        ({ labels: { component }, value: status === 'unhealthy' ? 0 : 1 })), Math.min)
    }
  ]
}
