import type { MissionTotals } from '../../../schemas/mission.js'
import { defineMetrics, type MetricDefinition, type MetricRow } from '../metric.js'

type Row = Pick<MetricRow<MissionTotals>, 'name' | 'help' | 'aggregator' | 'query' | 'read'>

/**
 * The seven mission gauges. The protocol defines their names, including the prefix `oneagent_`: every service that
 * speaks it exposes the same names, so the prefix of the plugin does not apply. In a cluster, the mean of several means
 * weighs an idle process as much as a busy one, so those two gauges are left out there.
 */
export function describeMissionGauges (totals: () => MissionTotals): MetricDefinition[] {
  return defineMetrics('oneagent_mission_', totals, ROWS.map((row) => ({ ...row, type: 'gauge' })))
}

const SUM_OF_JOB = 'sum by (job) (METRIC)'

const ROWS: readonly Row[] = [
  {
    name: 'active',
    help: 'Missions that have started and not yet ended.',
    query: SUM_OF_JOB,
    read: ({ active }) => active
  },
  {
    name: 'completed',
    help: 'Missions that completed successfully.',
    query: SUM_OF_JOB,
    read: ({ completed }) => completed
  },
  {
    name: 'cancelled',
    help: 'Missions that ended by a cancel request or a timeout.',
    query: SUM_OF_JOB,
    read: ({ cancelled }) => cancelled
  },
  {
    name: 'errors',
    help: 'Missions that failed.',
    query: SUM_OF_JOB,
    read: ({ errors }) => errors
  },
  {
    name: 'total',
    help: 'Missions since the process started, both active and ended.',
    query: SUM_OF_JOB,
    read: ({ total }) => total
  },
  {
    name: 'avg_duration_ms',
    aggregator: 'omit',
    help: 'Mean duration of ended missions in milliseconds; 0 until one has ended.',
    query: 'METRIC',
    read: ({ avgDurationMs }) => avgDurationMs ?? 0
  },
  {
    name: 'error_rate',
    aggregator: 'omit',
    help: 'Share of ended missions that failed, from 0 to 1; 0 until one has ended.',
    query: 'METRIC',
    read: ({ completed, cancelled, errors }) => {
      const ended = completed + cancelled + errors
      return ended === 0 ? 0 : errors / ended
    }
  }
]
