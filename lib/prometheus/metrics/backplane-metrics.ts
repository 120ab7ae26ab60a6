import { defineMetrics, type MetricDefinition } from '../metric.js'
import type { BackplaneTotals } from '../sources.js'

/** How this process gets along with the backplane, under the plugin's prefix. */
export function describeBackplaneMetrics (prefix: string, totals: () => BackplaneTotals): MetricDefinition[] {
  return defineMetrics(`${prefix}backplane_`, totals, [
    {
      name: 'up',
      type: 'gauge',
      aggregator: 'min',
      help: 'Whether the backplane answers: 1 or 0.',
      query: 'METRIC == 0',
      read: ({ isAway }) => isAway ? 0 : 1
    },
    {
      name: 'instances',
      type: 'gauge',
      aggregator: 'max',
      help: 'Processes that are alive, workers included, as this process knows them.',
      query: 'min by (job) (METRIC)',
      read: ({ instances }) => instances
    },
    {
      name: 'steps_waiting',
      type: 'gauge',
      help: 'Steps of missions that are not appended to the log yet. Above 0 for longer only while the backplane is ' +
        'away.',
      query: 'METRIC > 0',
      read: ({ waiting }) => waiting
    },
    {
      name: 'steps_dropped_total',
      type: 'counter',
      help: 'Steps of missions that were dropped because too many waited.',
      query: 'increase(METRIC[5m]) > 0',
      read: ({ droppedSteps }) => droppedSteps
    },
    {
      name: 'endings_dropped_total',
      type: 'counter',
      help: 'Endings among the dropped steps. The ending itself is sent later, with the state of its mission.',
      query: 'increase(METRIC[5m])',
      read: ({ droppedEndings }) => droppedEndings
    },
    {
      name: 'entries_broken_total',
      type: 'counter',
      help: 'Entries of the log that could not be read, and were not sent to clients.',
      query: 'increase(METRIC[5m]) > 0',
      read: ({ brokenEntries }) => brokenEntries
    }
  ])
}
