/** Upper bounds of the duration buckets in ms. Longer durations are counted in one more bucket. */
export const DURATION_BOUNDS_MS = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000
] as const

/** Maximum number of pairs of component and operation with a series of their own; further pairs share one. */
const MAX_PAIRS = 500
const OTHER = 'other'

const LABEL_MAX_LENGTH = 64
const LABEL = /^[A-Za-z0-9_.:/-]{1,64}$/
const NOT_IN_LABEL = /[^A-Za-z0-9_.:/-]/g

/**
 * Lifetime counts of one component and operation. `buckets` is not cumulative and has one entry more than `boundsMs`.
 */
export interface OperationSeries {
  component: string
  operation: string
  success: number
  error: number
  durationCount: number
  durationSumMs: number
  buckets: readonly number[]
}

/** A copy of all series. */
export interface OperationTotals {
  boundsMs: readonly number[]
  series: readonly OperationSeries[]
}

interface Series extends OperationSeries { buckets: number[] }

/**
 * Lifetime totals by component and operation. They never decrease, and their number is bounded: from the 501st pair on,
 * new pairs are counted as `other`/`other`. Names are converted to safe label values, see `labelValue`.
 */
export class Operations {
  // Two levels of maps, because joining the names to one key would cost more than the rest of `record`.
  readonly #byComponent = new Map<string, Map<string, Series>>()
  readonly #series: Series[] = []

  /** Counts one operation, and its duration unless that is `undefined`. */
  record (component: string, operation: string, isSuccess: boolean, durationMs: number | undefined): void {
    const series = this.#find(labelValue(component), labelValue(operation))
    if (isSuccess) series.success += 1
    else series.error += 1
    if (durationMs !== undefined) addDuration(series, durationMs)
  }

  totals (): OperationTotals {
    const series = this.#series.map((one) => ({ ...one, buckets: [...one.buckets] }))
    return { boundsMs: DURATION_BOUNDS_MS, series }
  }

  #find (component: string, operation: string): Series {
    const known = this.#byComponent.get(component)?.get(operation)
    if (known !== undefined) return known
    return this.#series.length < MAX_PAIRS ? this.#add(component, operation) : this.#other()
  }

  #other (): Series {
    return this.#byComponent.get(OTHER)?.get(OTHER) ?? this.#add(OTHER, OTHER)
  }

  #add (component: string, operation: string): Series {
    const series: Series = {
      component,
      operation,
      success: 0,
      error: 0,
      durationCount: 0,
      durationSumMs: 0,
      buckets: new Array<number>(DURATION_BOUNDS_MS.length + 1).fill(0)
    }
    const byOperation = this.#byComponent.get(component) ?? new Map<string, Series>()
    this.#byComponent.set(component, byOperation.set(operation, series))
    this.#series.push(series)
    return series
  }
}

/** Converts a name to a safe label value: at most 64 characters of `A-Z a-z 0-9 _ . : / -`, others replaced by `_`. */
export function labelValue (name: string): string {
  return LABEL.test(name) ? name : name.slice(0, LABEL_MAX_LENGTH).replace(NOT_IN_LABEL, '_')
}

function addDuration (series: Series, durationMs: number): void {
  let bucket = 0
  while (bucket < DURATION_BOUNDS_MS.length && durationMs > DURATION_BOUNDS_MS[bucket]!) bucket++
  series.buckets[bucket]! += 1
  series.durationCount += 1
  // Clamped, because two absurd durations could otherwise make the sum infinite.
  series.durationSumMs += Math.min(durationMs, Number.MAX_SAFE_INTEGER)
}
