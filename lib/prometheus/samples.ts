import type { TracedDuration } from '../base/histogram.js'
import type { Exemplar, Labels, Sample } from './metric.js'

const MAX_LABEL_LENGTH = 64
const SAFE_LABEL = /^[A-Za-z0-9_.:/-]{1,64}$/
const UNSAFE_CHARACTER = /[^A-Za-z0-9_.:/-]/gu

/**
 * Makes a text safe as the value of a label: at most 64 characters, with every character other than
 * `A-Z a-z 0-9 _ . : / -` replaced by `_`. The result cannot end a label or a line even if it is not escaped.
 */
export function toLabelValue (text: string): string {
  if (SAFE_LABEL.test(text)) return text
  return text.slice(0, MAX_LABEL_LENGTH).replaceAll(UNSAFE_CHARACTER, '_') || '_'
}

/**
 * One sample per entry, whose key becomes the value of `label`. Keys with the same label value share a sample, made by
 * `combine`: Prometheus rejects a response body that contains a series twice.
 */
export function samplesByLabel (
  label: string, entries: Iterable<readonly [string, number]>, combine: (a: number, b: number) => number = add
): Sample[] {
  const values = new Map<string, number>()
  for (const [key, value] of entries) {
    const labelValue = toLabelValue(key)
    const known = values.get(labelValue)
    values.set(labelValue, known === undefined ? value : combine(known, value))
  }
  const samples: Sample[] = []
  for (const [labelValue, value] of values) samples.push({ labels: { [label]: labelValue }, value })
  return samples
}

/**
 * A distribution of durations. `buckets` has one entry per bound, not cumulative, and one for longer durations.
 * `examples` has the newest traced duration of each bucket.
 */
export interface Durations {
  boundsMs: readonly number[]
  buckets: readonly number[]
  sumMs: number
  examples?: ReadonlyArray<TracedDuration | undefined>
}

/** The lines of one histogram in seconds. Its buckets are cumulative, as Prometheus requires. */
export function toBuckets ({ boundsMs, buckets, sumMs, examples = [] }: Durations, labels: Labels = {}): Sample[] {
  const samples: Sample[] = []
  let count = 0
  for (let i = 0; i <= boundsMs.length; i++) {
    count += buckets[i]!
    const boundMs = boundsMs[i]
    const le = boundMs === undefined ? '+Inf' : String(boundMs / 1_000)
    samples.push({ suffix: '_bucket', labels: { ...labels, le }, value: count, exemplar: toExemplar(examples[i]) })
  }
  samples.push({ suffix: '_sum', labels, value: sumMs / 1_000 }, { suffix: '_count', labels, value: count })
  return samples
}

/** The lines of several histograms, one per entry, whose key becomes the value of `label`. */
export function bucketsByLabel (label: string, entries: Iterable<readonly [string, Durations]>): Sample[] {
  return [...entries].flatMap(([key, durations]) => toBuckets(durations, { [label]: toLabelValue(key) }))
}

const toExemplar = (example: TracedDuration | undefined): Exemplar | undefined =>
  example && { traceId: example.traceId, value: example.ms / 1_000, at: example.at }

const add = (a: number, b: number): number => a + b
