import { LatencyWindow } from './latency-window.js'
import { bucketOf } from './latency-buckets.js'

/**
 * Lifetime counts of one component and operation. `buckets` is not cumulative and has one entry more than the bounds.
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

export interface RecordedOperation { isSuccess: boolean, durationMs: number | undefined, nowMs: number }

/** One component and operation: lifetime totals, and the latency of the last minute. */
export class RecordedSeries {
  readonly #boundsMs: readonly number[]
  readonly #totals: OperationSeries & { buckets: number[] }
  #latency: LatencyWindow | undefined

  constructor (component: string, operation: string, boundsMs: readonly number[]) {
    this.#boundsMs = boundsMs
    const buckets = new Array<number>(boundsMs.length + 1).fill(0)
    this.#totals = { component, operation, success: 0, error: 0, durationCount: 0, durationSumMs: 0, buckets }
  }

  record ({ isSuccess, durationMs, nowMs }: RecordedOperation): void {
    if (isSuccess) this.#totals.success += 1
    else this.#totals.error += 1
    if (durationMs === undefined) return
    this.#addDuration(durationMs)
    this.#latency ??= new LatencyWindow(nowMs)
    this.#latency.add(bucketOf(durationMs), nowMs)
  }

  /** A copy of the totals. */
  totals (): OperationSeries {
    return { ...this.#totals, buckets: [...this.#totals.buckets] }
  }

  get component (): string { return this.#totals.component }

  get operation (): string { return this.#totals.operation }

  /** The durations of the last minute; `undefined` before the first one. */
  get latency (): LatencyWindow | undefined { return this.#latency }

  #addDuration (durationMs: number): void {
    const totals = this.#totals
    let bucket = 0
    while (bucket < this.#boundsMs.length && durationMs > this.#boundsMs[bucket]!) bucket++
    totals.buckets[bucket]! += 1
    totals.durationCount += 1
    // Clamped, because two absurd durations could otherwise make the sum infinite.
    totals.durationSumMs += Math.min(durationMs, Number.MAX_SAFE_INTEGER)
  }
}
