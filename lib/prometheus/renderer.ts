import type { Exemplar, Labels, MetricDefinition, Sample } from './metric.js'
import type { Format } from './negotiation.js'

const NEEDS_ESCAPE = /["\\\n]/

/** The `# HELP` and `# TYPE` lines of a metric, without a line break at the end. */
export function renderHead (
  { name, help, type }: Pick<MetricDefinition, 'name' | 'help' | 'type'>, format: Format
): string {
  const isOpenMetrics = format === 'openmetrics'
  const family = isOpenMetrics && type === 'counter' ? withoutTotal(name) : name
  return `# HELP ${family} ${isOpenMetrics ? escapeQuoted(help) : escape(help)}\n# TYPE ${family} ${type}`
}

export interface LineOptions {
  /** The name of the metric. */
  name: string
  format: Format
  /** Labels for every line; a sample's own labels win. */
  defaultLabels?: Labels | undefined
}

/** One line per sample, each after a line break. */
export function renderSamples (samples: readonly Sample[], { name, format, defaultLabels }: LineOptions): string {
  let text = ''
  for (const { labels, value, suffix = '', exemplar } of samples) {
    const allLabels = defaultLabels === undefined ? labels : { ...defaultLabels, ...labels }
    const isOpenMetricsBucket = format === 'openmetrics' && suffix === '_bucket'
    const shownValue = Number.isFinite(value) ? value : renderNonFinite(value)
    text += `\n${name}${suffix}${renderLabels(allLabels, isOpenMetricsBucket)} ${shownValue}`
    if (isOpenMetricsBucket && exemplar !== undefined) text += renderExemplar(exemplar)
  }
  return text
}

/** The response body: text puts an empty line between metrics, OpenMetrics forbids that and ends in `# EOF`. */
export function joinMetrics (metrics: readonly string[], format: Format): string {
  return format === 'openmetrics' ? `${metrics.join('\n')}\n# EOF\n` : `${metrics.join('\n\n')}\n`
}

/** The name of a counter in the `# TYPE` line of OpenMetrics. */
export const withoutTotal = (name: string): string => name.replace(/_total$/, '')

/** A number as OpenMetrics wants it in `le` and `quantile`: always with a point or an exponent, `1.0`, `1e+06`. */
export function canonicalNumber (value: unknown): string {
  const number = Number(value)
  if (!Number.isFinite(number)) return String(value)
  const size = Math.abs(number)
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return number.toExponential().replace(/(?<=e[+-])\d$/, '0$&')
  return Number.isInteger(number) ? `${number}.0` : String(number)
}

function renderLabels (labels: Labels, hasCanonicalBound: boolean): string {
  let text = ''
  for (const name in labels) {
    const value = labels[name]!
    const shown = hasCanonicalBound && name === 'le' ? canonicalNumber(value) : value
    text += `${text === '' ? '{' : ','}${name}="${NEEDS_ESCAPE.test(shown) ? escapeQuoted(shown) : shown}"`
  }
  return text === '' ? '' : `${text}}`
}

const renderExemplar = ({ traceId, value, at }: Exemplar): string =>
  ` # {trace_id="${traceId}"} ${value} ${at / 1_000}`

const escapeQuoted = (text: string): string => escape(text).replaceAll('"', '\\"')

const escape = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')

const renderNonFinite = (value: number): string => Number.isNaN(value) ? 'NaN' : value < 0 ? '-Inf' : '+Inf'
