import type { MissionTotals } from '../../../schemas/mission.js'
import { bucketsByLabel, samplesByLabel } from '../samples.js'
import type { MissionCounts, MissionMeasurements } from '../sources.js'
import { defineMetrics, type MetricDefinition } from '../metric.js'

/** The totals of the missions, under the plugin's prefix. */
export function describeMissionTotals (prefix: string, totals: () => MissionTotals): MetricDefinition[] {
  return defineMetrics(`${prefix}missions_`, totals, [
    {
      name: 'stalled',
      type: 'gauge',
      help: 'Active missions without activity for missions.stallMs.',
      query: 'METRIC > 0',
      read: ({ stalled }) => stalled
    },
    {
      name: 'late_outcomes_total',
      type: 'counter',
      help: 'Outcomes that were reported after the mission had already ended.',
      query: 'increase(METRIC[1h])',
      read: ({ lateOutcomes }) => lateOutcomes
    },
    {
      name: 'refused_total',
      type: 'counter',
      help: 'Missions that were refused because missions.maxActive missions were active.',
      query: 'increase(METRIC[5m]) > 0',
      read: ({ refused }) => refused
    }
  ])
}

/** Starts, endings and durations of the missions of this process, under the plugin's prefix. */
export function describeMissionMeasures (prefix: string, measures: () => MissionMeasurements): MetricDefinition[] {
  return defineMetrics(prefix, measures, [
    {
      name: 'missions_started_total',
      type: 'counter',
      help: 'Missions that were started in this process; every attempt counts.',
      query: 'rate(METRIC[5m])',
      read: ({ started }) => started
    },
    {
      name: 'missions_finished_total',
      type: 'counter',
      help: 'Missions that have ended in this process, by outcome: completed, cancelled or error.',
      labels: ['outcome'],
      series: '3',
      query: 'sum by (job) (increase(METRIC{outcome="error"}[15m])) / sum by (job) (increase(METRIC[15m]))',
      read: ({ durations }) => samplesByLabel('outcome', Object.entries(durations).map(([outcome, { buckets }]) =>
        [outcome, buckets.reduce((sum, count) => sum + count, 0)]))
    },
    {
      name: 'mission_duration_seconds',
      type: 'histogram',
      help: 'Durations of ended missions, by outcome; prometheus.missionBucketsMs sets the buckets.',
      labels: ['outcome'],
      series: '3',
      query: 'histogram_quantile(0.95, sum by (le, outcome) (rate(METRIC_bucket[1h])))',
      read: ({ durations }) => bucketsByLabel('outcome', Object.entries(durations))
    },
    {
      name: 'mission_oldest_active_age_seconds',
      type: 'gauge',
      aggregator: 'max',
      help: 'Age of the active mission that was registered first; 0 if no mission is active.',
      query: 'max by (job) (METRIC) > 3600',
      read: ({ oldestActiveMs }) => oldestActiveMs / 1_000
    },
    {
      name: 'missions_evicted_total',
      type: 'counter',
      help: 'Ended missions that can no longer be looked up, by reason: age (missions.endedRetentionMs) or capacity ' +
        '(missions.maxEnded).',
      labels: ['reason'],
      series: '2',
      query: 'rate(METRIC{reason="capacity"}[1h])',
      read: ({ evicted }) => samplesByLabel('reason', Object.entries(evicted))
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
      query: 'rate(METRIC[1h])',
      read: ({ durationSumMs }) => durationSumMs / 1_000
    },
    {
      name: 'untracked_total',
      type: 'counter',
      help: 'Functions that ran without a tracked mission, by reason: full, closing, ended (the id has ended) or ' +
        'invalid.',
      labels: ['reason'],
      series: '4',
      query: 'sum by (reason) (increase(METRIC[1h])) > 0',
      read: ({ untracked }) => samplesByLabel('reason', Object.entries(untracked))
    },
    {
      name: 'cancelled_total',
      type: 'counter',
      help: 'Missions that ended as cancelled, by kind of cancel.',
      labels: ['kind'],
      series: '8',
      query: 'sum by (kind) (increase(METRIC[1h]))',
      read: ({ cancelled }) => samplesByLabel('kind', Object.entries(cancelled))
    },
    {
      name: 'texts_cut_total',
      type: 'counter',
      help: 'Texts of the host that were too long and were cut, and lists of tags that were shortened, by field.',
      labels: ['field'],
      series: '9',
      query: 'sum by (field) (increase(METRIC[1d])) > 0',
      read: ({ cut }) => samplesByLabel('field', Object.entries(cut))
    }
  ])
}
