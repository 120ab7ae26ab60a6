import type { MissionTotals } from '../../../schemas/mission.js'
import { samplesByLabel } from '../samples.js'
import type { MissionCounts } from '../sources.js'
import { defineMetrics, type Aggregator, type MetricDefinition, type MetricRow } from '../metric.js'

type Read = (totals: MissionTotals) => number

/**
 * The seven mission gauges. The protocol defines their names, including the prefix `oneagent_`: every service that
 * speaks it exposes the same names, so the prefix of the plugin does not apply. In a cluster, the mean of several means
 * weighs an idle process as much as a busy one, so those two gauges are left out there.
 */
export function describeMissionGauges (totals: () => MissionTotals): MetricDefinition[] {
  const row = (name: string, aggregator: Aggregator, help: string, read: Read): MetricRow<MissionTotals> =>
    ({ name, help, type: 'gauge', aggregator, read })
  return defineMetrics('oneagent_mission_', totals, [
    row('active', 'sum', 'Missions that have started and not yet ended.', ({ active }) => active),
    row('completed', 'sum', 'Missions that completed successfully.', ({ completed }) => completed),
    row('cancelled', 'sum', 'Missions that ended by a cancel request or a timeout.', ({ cancelled }) => cancelled),
    row('errors', 'sum', 'Missions that failed.', ({ errors }) => errors),
    row('total', 'sum', 'Missions since the process started, both active and ended.', ({ total }) => total),
    row('avg_duration_ms', 'omit', 'Mean duration of ended missions in milliseconds; 0 until one has ended.',
      ({ avgDurationMs }) => avgDurationMs ?? 0),
    row('error_rate', 'omit', 'Share of ended missions that failed, from 0 to 1; 0 until one has ended.', errorRate)
  ])
}

/** The other totals of the missions, under the plugin's prefix. */
export function describeMissionMetrics (prefix: string, totals: () => MissionTotals): MetricDefinition[] {
  return defineMetrics(`${prefix}missions_`, totals, [
    {
      name: 'stalled',
      type: 'gauge',
      help: 'Active missions without recent activity.',
      read: ({ stalled }) => stalled
    },
    {
      name: 'late_outcomes_total',
      type: 'counter',
      help: 'Outcomes that were reported after the mission had already ended.',
      read: ({ lateOutcomes }) => lateOutcomes
    },
    {
      name: 'refused_total',
      type: 'counter',
      help: 'Missions that were refused because too many were active.',
      read: ({ refused }) => refused
    }
  ])
}

/** Counts of missions with a label, under the plugin's prefix. */
export function describeMissionCounts (prefix: string, counts: () => MissionCounts): MetricDefinition[] {
  return defineMetrics(`${prefix}missions_`, counts, [
    {
      name: 'duration_seconds_total',
      type: 'counter',
      help: 'Durations of all ended missions together.',
      read: ({ durationSumMs }) => durationSumMs / 1_000
    },
    {
      name: 'untracked_total',
      type: 'counter',
      help: 'Functions that ran without a tracked mission, by reason.',
      read: ({ untracked }) => samplesByLabel('reason', Object.entries(untracked))
    },
    {
      name: 'cancelled_total',
      type: 'counter',
      help: 'Missions that ended as cancelled, by kind of cancel.',
      read: ({ cancelled }) => samplesByLabel('kind', Object.entries(cancelled))
    },
    {
      name: 'texts_cut_total',
      type: 'counter',
      help: 'Texts of the host that were too long and were cut, and lists of tags that were shortened, by field.',
      read: ({ cut }) => samplesByLabel('field', Object.entries(cut))
    }
  ])
}

function errorRate ({ completed, cancelled, errors }: MissionTotals): number {
  const ended = completed + cancelled + errors
  return ended === 0 ? 0 : errors / ended
}
