import type { Labels, Sample } from './metric-definition.js'

const LONGEST_LABEL_VALUE = 64

/**
 * A text as the value of a label: at most 64 characters, each one that is not of `A-Z a-z 0-9 _ . : / -` becomes `_`.
 * Nothing that can end a label, a line or a page gets through, whatever the library that renders it escapes.
 */
export function toLabelValue (text: string): string {
  return text.slice(0, LONGEST_LABEL_VALUE).replaceAll(/[^A-Za-z0-9_.:/-]/gu, '_') || '_'
}

/** All of `labels` as label values. */
export function toLabels (labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, toLabelValue(value)]))
}

/**
 * Samples with label values made safe. Two that became alike on the way are one series, made by `combine`: a page that
 * names a series twice is refused as a whole.
 */
export function toSeries (samples: Iterable<Sample>, combine: (a: number, b: number) => number): Sample[] {
  const series = new Map<string, Sample>()
  for (const sample of samples) {
    const labels = toLabels(sample.labels)
    const key = JSON.stringify(labels)
    const known = series.get(key)
    series.set(key, { labels, value: known === undefined ? sample.value : combine(known.value, sample.value) })
  }
  return [...series.values()]
}

/** One series for each key of `counts`, under the label `name`. */
export function countsByLabel (name: string, counts: Iterable<readonly [string, number]>): Sample[] {
  return toSeries(Array.from(counts, ([key, value]) => ({ labels: { [name]: key }, value })), (a, b) => a + b)
}
