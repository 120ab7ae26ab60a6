import type { MissionTotals } from '../../../schemas/mission.js'
import { defineMetrics, type MetricDefinition, type Sample } from '../metric.js'
import { samplesByLabel } from '../samples.js'
import type { CountsByTenant } from '../sources.js'

const ENDED = ['completed', 'cancelled', 'errors'] as const satisfies Array<keyof MissionTotals>
const SERIES = 'tenants + 1'

/** The counts of missions by tenant, for hosts that ask for them: each tenant is a series. */
export function describeTenantMetrics (prefix: string, counts: () => CountsByTenant): MetricDefinition[] {
  return defineMetrics(`${prefix}tenant_missions_`, counts, [
    {
      name: 'active',
      type: 'gauge',
      help: 'Missions that have started and not yet ended, by tenant.',
      labels: ['tenant'],
      series: SERIES,
      query: 'topk(10, sum by (tenant) (METRIC))',
      read: (tenants) => samplesByLabel('tenant', tenants.map(([tenant, { active }]) => [tenant, active]))
    },
    {
      name: 'ended_total',
      type: 'counter',
      help: 'Missions that have ended, by tenant and outcome: completed, cancelled or errors.',
      labels: ['outcome', 'tenant'],
      series: `(${SERIES}) × 3`,
      query: 'sum by (tenant) (increase(METRIC{outcome="errors"}[1h]))',
      read: (tenants) => ENDED.flatMap((outcome) => endedSamples(tenants, outcome))
    }
  ])
}

function endedSamples (tenants: CountsByTenant, outcome: (typeof ENDED)[number]): Sample[] {
  const samples = samplesByLabel('tenant', tenants.map(([tenant, totals]) => [tenant, totals[outcome]]))
  return samples.map(({ labels, value }) => ({ labels: { ...labels, outcome }, value }))
}
