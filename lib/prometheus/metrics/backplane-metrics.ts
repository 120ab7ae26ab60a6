import { defineMetrics, type MetricDefinition } from '../metric.js'
import type { BackplaneTotals } from '../sources.js'

/** How this process gets along with the backplane, under the plugin's prefix. */
export function describeBackplaneMetrics (prefix: string, totals: () => BackplaneTotals): MetricDefinition[] {
  return defineMetrics(`${prefix}backplane_`, totals, [
    {
      name: 'up',
      type: 'gauge',
      help: 'Whether the backplane answers: 1 or 0.',
      read: ({ isAway }) => isAway ? 0 : 1
    },
    {
      name: 'instances',
      type: 'gauge',
      help: 'Processes with a lease, as this one knows them.',
      read: ({ instances }) => instances
    },
    {
      name: 'steps_waiting',
      type: 'gauge',
      help: 'Steps of missions that were not sent to the log yet.',
      read: ({ waiting }) => waiting
    },
    {
      name: 'steps_dropped_total',
      type: 'counter',
      help: 'Steps of missions that were dropped because too many waited.',
      read: ({ droppedSteps }) => droppedSteps
    },
    {
      name: 'endings_dropped_total',
      type: 'counter',
      help: 'Endings among the dropped steps.',
      read: ({ droppedEndings }) => droppedEndings
    },
    {
      name: 'entries_broken_total',
      type: 'counter',
      help: 'Entries of the log that could not be read.',
      read: ({ brokenEntries }) => brokenEntries
    }
  ])
}
