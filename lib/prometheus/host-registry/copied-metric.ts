import { InvalidMetric } from '../../base/errors.js'
import type { Labels, MetricType } from '../metric.js'
import type { Format } from '../negotiation.js'
import { canonicalNumber, withoutTotal } from '../renderer.js'
import { SUFFIXES } from './name-clashes.js'

interface Exemplar { labelSet: Labels, value: number, timestamp: number }

interface Line { labels: Labels, value: number, metricName?: string, exemplar?: Exemplar }

/** What a metric of the host returned, checked and copied for one response body. */
export interface CopiedMetric { name: string, help: string, type: MetricType, values: Line[] }

export interface CopyOptions {
  format: Format
  /** Labels for every line; a line's own labels win. */
  defaultLabels: Labels
}

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/

/**
 * Copies what a metric returned under `name`, the name of its registration, so that rendering cannot change the metric.
 * @throws FST_MC_INVALID_METRIC when `metric` would corrupt the response body for other metrics
 */
export function copyMetric (metric: unknown, name: string, { format, defaultLabels }: CopyOptions): CopiedMetric {
  const { name: givenName, help, type, values = [] } = asRecord(metric, 'something that is not an object')
  if (!METRIC_NAME.test(name)) throw new InvalidMetric('an invalid name')
  if (typeof help !== 'string') throw new InvalidMetric('no help text')
  if (!isMetricType(type)) throw new InvalidMetric('no type, or an unknown one')
  if (!Array.isArray(values)) throw new InvalidMetric('values that are not an array')
  const family = format === 'openmetrics' && type === 'counter' ? withoutTotal(name) : name
  const context = { family, givenName, type, format, defaultLabels }
  return {
    name: family,
    help: format === 'openmetrics' ? withoutQuotes(help) : help,
    type,
    values: values.map((value) => copyLine(asRecord(value, 'a value that is not an object'), context))
  }
}

/**
 * Checks the name of a label and converts its value to a string, because prom-client escapes nothing but strings.
 * @throws FST_MC_INVALID_METRIC when the name would break the line
 */
export function copyLabel (name: string, value: unknown): string {
  if (!LABEL_NAME.test(name)) throw new InvalidMetric('an invalid label name')
  return String(value)
}

interface LineContext { family: string, givenName: unknown, type: MetricType, format: Format, defaultLabels: Labels }

function copyLine (line: Record<string, unknown>, context: LineContext): Line {
  const { value, metricName, labels, exemplar } = line
  if (typeof value !== 'number') throw new InvalidMetric('a value that is not a number')
  const suffix = suffixOf(metricName, context)
  const ownLabels = asRecord(labels ?? {}, 'labels that are not an object')
  const copy: Line = { labels: copyLabels({ ...context.defaultLabels, ...ownLabels }, context), value }
  if (suffix !== '') copy.metricName = context.family + suffix
  if (exemplar !== undefined && exemplar !== null) copy.exemplar = copyExemplar(exemplar, context)
  return copy
}

function suffixOf (metricName: unknown, { givenName, type }: LineContext): string {
  const suffix = metricName === undefined ? '' : String(metricName).slice(String(givenName).length)
  if (!SUFFIXES[type].includes(suffix)) throw new InvalidMetric('a line that does not fit its type')
  return suffix
}

function copyExemplar (exemplar: unknown, context: LineContext): Exemplar {
  const { labelSet, value, timestamp } = asRecord(exemplar, 'an exemplar that is not an object')
  if (typeof value !== 'number' || typeof timestamp !== 'number') throw new InvalidMetric('an exemplar without numbers')
  return { labelSet: copyLabels(asRecord(labelSet, 'an exemplar without labels'), context), value, timestamp }
}

function copyLabels (labels: Record<string, unknown>, { type, format }: LineContext): Labels {
  const bound = type === 'histogram' ? 'le' : type === 'summary' ? 'quantile' : undefined
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => {
    const copy = copyLabel(name, value)
    return [name, name === bound && format === 'openmetrics' ? canonicalNumber(value) : copy]
  }))
}

function asRecord (value: unknown, otherwise: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new InvalidMetric(otherwise)
  return value as Record<string, unknown>
}

const isMetricType = (type: unknown): type is MetricType => typeof type === 'string' && Object.hasOwn(SUFFIXES, type)

// prom-client does not escape quotes in a help text, and OpenMetrics allows only escaped ones.
const withoutQuotes = (help: string): string => help.replaceAll('"', "'")
