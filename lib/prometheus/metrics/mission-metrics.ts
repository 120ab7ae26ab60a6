import type { MissionTotals } from '../../../schemas/mission.js'
import type { Aggregator, MetricDefinition } from '../metric-definition.js'

/** The seven mission gauges. Their names are part of the protocol, so the plugin's prefix does not apply. */
export function describeMissionMetrics (totals: () => MissionTotals): MetricDefinition[] {
  const gauge = (name: string, aggregator: Aggregator, help: string, value: (totals: MissionTotals) => number): MetricDefinition => ({
    name: `oneagent_mission_${name}`,
    help,
    type: 'gauge',
    aggregator,
    read: () => [{ labels: {}, value: value(totals()) }]
  })
  return [
    gauge('active', 'sum', 'Missions that have started and not ended.', (totals) => totals.active),
    gauge('completed', 'sum', 'Missions that ended with success.', (totals) => totals.completed),
    gauge('cancelled', 'sum', 'Missions that ended because someone cancelled them or their time ran out.', (totals) => totals.cancelled),
    gauge('errors', 'sum', 'Missions that ended because they failed.', (totals) => totals.errors),
    gauge('total', 'sum', 'Every mission seen since the start of the process, ended or not.', (totals) => totals.total),
    gauge('avg_duration_ms', 'average', 'Mean time from start to end of all ended missions in milliseconds; 0 before the first end.', (totals) => totals.avgDurationMs ?? 0),
    gauge('error_rate', 'average', 'Part of the ended missions that failed, from 0 to 1; 0 before the first end.', errorRate)
  ]
}

/** What else the registry counts, under the plugin's prefix. */
export function describeMissionLifeMetrics (prefix: string, totals: () => MissionTotals): MetricDefinition[] {
  const metric = (name: string, type: 'gauge' | 'counter', help: string, value: (totals: MissionTotals) => number): MetricDefinition => ({
    name: `${prefix}missions_${name}`,
    help,
    type,
    aggregator: 'sum',
    read: () => [{ labels: {}, value: value(totals()) }]
  })
  return [
    metric('stalled', 'gauge', 'Active missions that have shown no activity for too long.', (totals) => totals.stalled),
    metric('late_outcomes_total', 'counter', 'Endings that were reported after the mission had ended.', (totals) => totals.lateOutcomes),
    metric('refused_total', 'counter', 'Missions that were not started because too many were active.', (totals) => totals.refused)
  ]
}

function errorRate (totals: MissionTotals): number {
  const ended = totals.completed + totals.cancelled + totals.errors
  return ended === 0 ? 0 : totals.errors / ended
}
