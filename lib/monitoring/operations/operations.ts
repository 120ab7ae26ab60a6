import type { Clock } from '../../base/clock.js'
import type { LatencyCounts } from './latency-buckets.js'
import { RecordedSeries, type OperationSeries, type RecordedOperation } from './operation-series.js'

/** Maximum number of pairs of component and operation with a series of their own; further pairs share one. */
export const MAX_PAIRS = 500
export const OTHER = 'other'

const LABEL_MAX_LENGTH = 64
const LABEL = /^[A-Za-z0-9_.:/-]{1,64}$/
const NOT_IN_LABEL = /[^A-Za-z0-9_.:/-]/g

/** A copy of all series. */
export interface OperationTotals {
  boundsMs: readonly number[]
  series: readonly OperationSeries[]
}

/** The durations of one component and operation within the last minute. */
export interface OperationCounts { component: string, operation: string, counts: LatencyCounts }

/**
 * Lifetime totals and recent durations by component and operation. The totals never decrease, and their number is
 * bounded: from the 501st pair on, new pairs are counted as `other`/`other`. Names are converted to safe label values,
 * see `labelValue`.
 */
export class Operations {
  readonly #boundsMs: readonly number[]
  readonly #clock: Clock
  // Two levels of maps, because joining the names to one key would cost more than the rest of `record`.
  readonly #byComponent = new Map<string, Map<string, RecordedSeries>>()
  readonly #series: RecordedSeries[] = []

  /** `boundsMs` are the upper bounds of the duration buckets. Longer durations are counted in one more bucket. */
  constructor (boundsMs: readonly number[], clock: Clock) {
    this.#clock = clock
    this.#boundsMs = boundsMs
  }

  /** Counts one operation, and its duration unless that is `undefined`. */
  record (component: string, operation: string, recorded: RecordedOperation): void {
    this.#find(labelValue(component), labelValue(operation)).record(recorded)
  }

  totals (): OperationTotals {
    return { boundsMs: this.#boundsMs, series: this.#series.map((one) => one.totals()) }
  }

  /** The durations of the last minute for the `max` operations with the most of them, busiest first. */
  busiest (max: number, nowMs: number): OperationCounts[] {
    const counted = this.#series.flatMap(({ component, operation, latency }) => {
      const count = latency?.count(nowMs) ?? 0
      return count === 0 ? [] : [{ component, operation, latency: latency!, count }]
    })
    return counted.sort((a, b) => b.count - a.count).slice(0, max)
      .map(({ component, operation, latency }) => ({ component, operation, counts: latency.counts(nowMs) }))
  }

  #find (component: string, operation: string): RecordedSeries {
    const known = this.#byComponent.get(component)?.get(operation)
    if (known !== undefined) return known
    return this.#series.length < MAX_PAIRS ? this.#add(component, operation) : this.#other()
  }

  #other (): RecordedSeries {
    return this.#byComponent.get(OTHER)?.get(OTHER) ?? this.#add(OTHER, OTHER)
  }

  #add (component: string, operation: string): RecordedSeries {
    const series = new RecordedSeries(component, operation, this.#boundsMs, this.#clock)
    const byOperation = this.#byComponent.get(component) ?? new Map<string, RecordedSeries>()
    this.#byComponent.set(component, byOperation.set(operation, series))
    this.#series.push(series)
    return series
  }
}

/** Converts a name to a safe label value: at most 64 characters of `A-Z a-z 0-9 _ . : / -`, others replaced by `_`. */
export function labelValue (name: string): string {
  return LABEL.test(name) ? name : name.slice(0, LABEL_MAX_LENGTH).replace(NOT_IN_LABEL, '_')
}
