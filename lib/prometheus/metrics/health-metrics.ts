import type { ComponentStatus, HealthComponent, HealthSnapshot, HealthState } from '../../../schemas/health.js'
import type { HealthTransitionCount } from '../../monitoring/index.js'
import { defineMetrics, type MetricDefinition, type Sample } from '../metric.js'
import { samplesByLabel, toLabelValue } from '../samples.js'

const STATES: readonly HealthState[] = ['healthy', 'degraded', 'critical', 'unknown']
const COMPONENT_STATES: readonly ComponentStatus[] = ['healthy', 'degraded', 'unhealthy']

type Read = (component: HealthComponent) => number | null

/** The last known health; a scrape never runs a health check. */
export function describeHealthMetrics (prefix: string, health: () => HealthSnapshot): MetricDefinition[] {
  return defineMetrics(`${prefix}health_`, health, [
    {
      name: 'status',
      help: '1 for the current health status, 0 for the three others.',
      type: 'gauge',
      aggregator: 'max',
      labels: ['status'],
      series: '4',
      query: 'METRIC{status="critical"} == 1',
      read: ({ status }) => STATES.map((state) => ({ labels: { status: state }, value: state === status ? 1 : 0 }))
    },
    {
      name: 'component_up',
      help: '0 while the component is unhealthy, otherwise 1.',
      type: 'gauge',
      aggregator: 'min',
      labels: ['component'],
      series: 'components',
      query: 'METRIC == 0',
      // If two components share a label value, an unhealthy one must show.
      read: (snapshot) => readComponents(snapshot, ({ status }) => status === 'unhealthy' ? 0 : 1, Math.min)
    },
    {
      name: 'component_status',
      help: '1 for the current status of the component, 0 for the two others: healthy, degraded, unhealthy.',
      type: 'gauge',
      aggregator: 'max',
      labels: ['component', 'status'],
      series: 'components × 3',
      query: 'METRIC{status!="healthy"} == 1',
      read: readStates
    },
    {
      name: 'check_duration_seconds',
      help: 'How long the last run of a health check took, or the response time that the host has reported.',
      type: 'gauge',
      aggregator: 'max',
      labels: ['component'],
      series: 'components',
      query: 'topk(5, METRIC)',
      read: (snapshot) => readComponents(snapshot, ({ responseTimeMs }) => inSeconds(responseTimeMs), Math.max)
    },
    {
      name: 'check_last_run_timestamp_seconds',
      help: 'When the component was last checked or reported, in seconds since 1970.',
      type: 'gauge',
      aggregator: 'min',
      labels: ['component'],
      series: 'components',
      query: 'time() - METRIC > 180',
      read: (snapshot) => readComponents(snapshot, ({ checkedAt }) => inSeconds(checkedAt), Math.min)
    }
  ])
}

/** How often the health has changed. */
export function describeHealthTransitions (
  prefix: string, transitions: () => readonly HealthTransitionCount[]
): MetricDefinition[] {
  return defineMetrics(`${prefix}health_`, transitions, [{
    name: 'transitions_total',
    help: 'Changes of the health status, by the status before and after; the status of the backplane is not included.',
    type: 'counter',
    labels: ['from', 'to'],
    series: '6',
    query: 'sum by (job, instance) (increase(METRIC[30m])) > 6',
    read: (counts) => counts.map(({ from, to, count }) => ({ labels: { from, to }, value: count }))
  }])
}

function readComponents (
  { components }: HealthSnapshot, read: Read, combine: (a: number, b: number) => number
): Sample[] {
  const values = Object.entries(components).flatMap(([name, component]): Array<[string, number]> => {
    const value = read(component)
    return value === null ? [] : [[name, value]]
  })
  return samplesByLabel('component', values, combine)
}

// If two components share a label value, the worse one shows.
function readStates ({ components }: HealthSnapshot): Sample[] {
  const worst = new Map<string, number>()
  for (const [name, { status }] of Object.entries(components)) {
    const component = toLabelValue(name)
    worst.set(component, Math.max(worst.get(component) ?? 0, COMPONENT_STATES.indexOf(status)))
  }
  return [...worst].flatMap(([component, state]) => COMPONENT_STATES.map((status, at) =>
    ({ labels: { component, status }, value: at === state ? 1 : 0 })))
}

const inSeconds = (ms: number | null): number | null => ms === null ? null : ms / 1_000
