import type { Labels, Sample } from './metric-definition.js'

/** Durations by buckets: `buckets[i]` counts those up to `boundsMs[i]` that are in no bucket before, the last one all others. */
export interface BucketSeries { labels: Labels, sumMs: number, buckets: readonly number[] }

/** The lines of one series of a histogram in seconds; its buckets count cumulatively there. */
export function toBuckets (name: string, boundsMs: readonly number[], { labels, sumMs, buckets }: BucketSeries): Sample[] {
  const samples: Sample[] = []
  let count = 0
  buckets.forEach((inBucket, i) => {
    count += inBucket
    const boundMs = boundsMs[i]
    const le = boundMs === undefined ? '+Inf' : String(boundMs / 1_000)
    samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: count })
  })
  samples.push({ metricName: `${name}_sum`, labels, value: sumMs / 1_000 })
  samples.push({ metricName: `${name}_count`, labels, value: count })
  return samples
}
