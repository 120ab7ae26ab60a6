import type { OperationLatency } from '../../../../schemas/metrics.js'
import type { AlertFacts, EndedFact } from '../facts/alert-facts.js'
import type { AlertTime } from '../lifecycle/alert-entry.js'
import type { AdaptiveRule, SignalLabels } from './signal-kinds.js'

/** One value of one signal. */
export interface SignalSample { readonly rule: AdaptiveRule, readonly labels: SignalLabels, readonly value: number }

const MINUTE_MS = 60_000
/** After a longer break, counters are not compared. */
const LONGEST_GAP_MS = 5 * MINUTE_MS
/** A share or a percentile of fewer values says nothing. */
const LEAST_ENDED = 5
const LEAST_FOR_P95 = 10
const LEAST_FOR_P99 = 50
/** A sample of the durations of a name is the median of this number of missions. */
const DURATIONS_PER_SAMPLE = 5
/** How many names have durations waiting for others. */
const MAX_NAMES = 200
const MAX_LABEL = 128

interface Counters { readonly at: number, readonly started: number, readonly ended: number }

/** Takes one sample per minute of each signal from the facts of the rules. Without traffic there is no sample. */
export class Samples {
  readonly #latencies: () => readonly OperationLatency[]
  readonly #durations = new Map<string, number[]>()
  #last: Counters | undefined

  constructor (latencies: () => readonly OperationLatency[]) {
    this.#latencies = latencies
  }

  /** The samples of the last minute, or none if the last ones are younger. */
  take ({ missions }: Pick<AlertFacts, 'missions'>, { at }: AlertTime): SignalSample[] {
    const last = this.#last
    if (last !== undefined && at - last.at < MINUTE_MS) return []
    const { total, completed, cancelled, errors } = missions.totals
    const current = this.#last = { at, started: total, ended: completed + cancelled + errors }
    if (last === undefined || at - last.at > LONGEST_GAP_MS) return []
    const fresh = missions.recent.filter((ended) => ended.at > last.at)
    return [
      ...loadOf(missions.load, last, current),
      ...fresh.length > 0 ? errorsOf(missions.recent) : [],
      ...fresh.flatMap((ended) => this.#durationsOf(ended)),
      ...this.#latencies().flatMap(latencyOf)
    ]
  }

  #durationsOf ({ name, status, durationMs }: EndedFact): SignalSample[] {
    if (status !== 'completed') return []
    const durations = this.#durations.get(name) ?? []
    if (durations.length === 0 && this.#durations.size >= MAX_NAMES) return []
    this.#durations.set(name, durations)
    durations.push(durationMs)
    if (durations.length < DURATIONS_PER_SAMPLE) return []
    this.#durations.delete(name)
    const median = durations.sort((a, b) => a - b)[DURATIONS_PER_SAMPLE >> 1]!
    return [{ rule: 'adaptive_duration', labels: { name: name.slice(0, MAX_LABEL) }, value: median }]
  }
}

function loadOf (active: number, last: Counters, current: Counters): SignalSample[] {
  const minutes = (current.at - last.at) / MINUTE_MS
  const starts = (current.started - last.started) / minutes
  const endings = (current.ended - last.ended) / minutes
  if (active === 0 && starts === 0 && endings === 0) return []
  return [
    { rule: 'adaptive_active', labels: {}, value: active },
    { rule: 'adaptive_starts', labels: {}, value: starts },
    { rule: 'adaptive_endings', labels: {}, value: endings }
  ]
}

function errorsOf (recent: readonly EndedFact[]): SignalSample[] {
  if (recent.length < LEAST_ENDED) return []
  const failed = recent.filter(({ status }) => status === 'error').length
  return [{ rule: 'adaptive_errors', labels: {}, value: failed / recent.length }]
}

function latencyOf ({ component, operation, count, p95Ms, p99Ms }: OperationLatency): SignalSample[] {
  const sample = (percentile: string, value: number): SignalSample =>
    ({ rule: 'adaptive_latency', labels: { component, operation, percentile }, value })
  return [
    ...count >= LEAST_FOR_P95 ? [sample('p95', p95Ms)] : [],
    ...count >= LEAST_FOR_P99 ? [sample('p99', p99Ms)] : []
  ]
}
