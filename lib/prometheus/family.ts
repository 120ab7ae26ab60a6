import { InvalidMetric } from '../base/errors.js'
import type { Labels, MetricType } from './metric-definition.js'
import type { Format } from './negotiation.js'

interface Exemplar { labelSet: Labels, value: number, timestamp: number }

interface Line { labels: Labels, value: number, metricName?: string, exemplar?: Exemplar }

/** A metric's answer, checked and copied for one page. */
export interface Family { name: string, help: string, type: MetricType, values: Line[] }

/** Endings that the lines of a type add to its name. */
const LINE_ENDINGS: Record<MetricType, readonly string[]> = {
  counter: [''],
  gauge: [''],
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count']
}

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/

/**
 * Copies what a metric answered, under `name`, so that rendering cannot change the metric; `defaults` are labels for
 * every line.
 *
 * @throws FST_MC_INVALID_METRIC when the answer could spoil the page for the other metrics
 */
export function copyFamily (answer: unknown, name: string, format: Format, defaults: Labels): Family {
  const { name: givenName, help, type, values = [] } = asRecord(answer, 'no object')
  if (!METRIC_NAME.test(name)) throw new InvalidMetric('a name that is not allowed')
  if (typeof help !== 'string') throw new InvalidMetric('no help text')
  if (!isMetricType(type)) throw new InvalidMetric('no type, or one that is unknown')
  if (!Array.isArray(values)) throw new InvalidMetric('values that are no list')
  const familyName = format === 'openmetrics' && type === 'counter' ? withoutTotal(name) : name
  return {
    name: familyName,
    help: format === 'openmetrics' ? withoutQuotes(help) : help,
    type,
    values: values.map((value) => copyLine(asRecord(value, 'a value that is no object'), { familyName, givenName, type, format, defaults }))
  }
}

/** Every name that the lines of `family` may have; no other family of the same page may have one of them. */
export function namesOnPage ({ name, type }: Family, format: Format): string[] {
  if (format === 'text') return [name, ...LINE_ENDINGS[type].map((ending) => name + ending)]
  const endings = type === 'counter' ? ['_total', '_created'] : type === 'gauge' ? [] : [...LINE_ENDINGS[type], '_created']
  return [name, ...endings.map((ending) => name + ending)]
}

interface Context { familyName: string, givenName: unknown, type: MetricType, format: Format, defaults: Labels }

function copyLine (line: Record<string, unknown>, context: Context): Line {
  if (typeof line['value'] !== 'number') throw new InvalidMetric('a value that is no number')
  const labels = asRecord(line['labels'] ?? {}, 'labels that are no object')
  const ending = lineEnding(line['metricName'], context)
  const copy: Line = { labels: copyLabels({ ...context.defaults, ...labels }, context), value: line['value'] }
  if (ending !== '') copy.metricName = context.familyName + ending
  const exemplar = line['exemplar'] ?? undefined
  if (exemplar !== undefined) copy.exemplar = copyExemplar(exemplar, context)
  return copy
}

function lineEnding (metricName: unknown, { givenName, type }: Context): string {
  const ending = metricName === undefined ? '' : String(metricName).slice(String(givenName).length)
  if (!LINE_ENDINGS[type].includes(ending)) throw new InvalidMetric('a line that is not of its type')
  return ending
}

function copyExemplar (exemplar: unknown, context: Context): Exemplar {
  const { labelSet, value, timestamp } = asRecord(exemplar, 'an exemplar that is no object')
  if (typeof value !== 'number' || typeof timestamp !== 'number') throw new InvalidMetric('an exemplar without numbers')
  return { labelSet: copyLabels(asRecord(labelSet, 'an exemplar without labels'), context), value, timestamp }
}

// Everything becomes a string: prom-client escapes strings, and nothing else.
function copyLabels (labels: Record<string, unknown>, { type, format }: Context): Labels {
  const limit = type === 'histogram' ? 'le' : type === 'summary' ? 'quantile' : undefined
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => {
    if (!LABEL_NAME.test(name)) throw new InvalidMetric('a label name that is not allowed')
    return [name, name === limit && format === 'openmetrics' ? canonicalNumber(value) : String(value)]
  }))
}

/** A number as OpenMetrics wants limits: always with a point or an exponent, `1.0`, `1e+06`. */
function canonicalNumber (value: unknown): string {
  const number = Number(value)
  if (!Number.isFinite(number)) return String(value)
  const size = Math.abs(number)
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return number.toExponential().replace(/(?<=e[+-])\d$/, '0$&')
  return Number.isInteger(number) ? `${number}.0` : String(number)
}

function asRecord (value: unknown, otherwise: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new InvalidMetric(otherwise)
  return value as Record<string, unknown>
}

const isMetricType = (type: unknown): type is MetricType => typeof type === 'string' && Object.hasOwn(LINE_ENDINGS, type)

const withoutTotal = (name: string): string => name.replace(/_total$/, '')

// prom-client leaves quotes in a help text as they are, and OpenMetrics has none there that are not escaped.
const withoutQuotes = (help: string): string => help.replaceAll('"', "'")
