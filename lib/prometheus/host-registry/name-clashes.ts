import { MetricNameClash } from '../../base/errors.js'
import type { MetricType } from '../metric.js'
import type { Format } from '../negotiation.js'
import { withoutTotal } from '../renderer.js'

/** A metric that is ready for the response body. */
export interface RenderedMetric { name: string, type: MetricType, text: () => string }

/** The suffixes that each type adds to its name in the text format. */
export const SUFFIXES: Readonly<Record<MetricType, readonly string[]>> = {
  counter: [''],
  gauge: [''],
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count']
}

/** OpenMetrics reserves `_created` for every type that counts. */
const OPEN_METRICS_SUFFIXES: Readonly<Record<MetricType, readonly string[]>> = {
  counter: ['_total', '_created'],
  gauge: [],
  histogram: [...SUFFIXES.histogram, '_created'],
  summary: [...SUFFIXES.summary, '_created']
}

/**
 * Selects those of `metrics` that fit into one response body. Counters are named differently in OpenMetrics, and the
 * lines of a histogram have names of their own, so two metrics with different names in a registry may still clash. The
 * later one goes to `onClash`.
 */
export function withoutClashes (
  metrics: readonly RenderedMetric[], format: Format, onClash: (metric: string, err: Error) => void
): RenderedMetric[] {
  const taken = new Set<string>()
  return metrics.filter((metric) => {
    const names = reservedNames(metric, format)
    const clash = names.find((name) => taken.has(name))
    if (clash !== undefined) {
      onClash(metric.name, new MetricNameClash(clash))
      return false
    }
    for (const name of names) taken.add(name)
    return true
  })
}

/** Every name that the lines of a metric may have. */
function reservedNames ({ name, type }: RenderedMetric, format: Format): string[] {
  if (format === 'text') return [name, ...SUFFIXES[type].map((suffix) => name + suffix)]
  const family = type === 'counter' ? withoutTotal(name) : name
  return [family, ...OPEN_METRICS_SUFFIXES[type].map((suffix) => family + suffix)]
}
