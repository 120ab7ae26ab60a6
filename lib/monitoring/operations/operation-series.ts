import type { Clock } from '../../base/clock.js'
import { Histogram, type HistogramCounts } from '../../base/histogram.js'
import { activeTraceId } from '../../base/tracing/active-trace.js'
import { bucketOf } from './latency-buckets.js'
import { LatencyWindow } from './latency-window.js'

/** How often one component and operation was reported, and the durations that were reported with it. */
export interface OperationCounters {
  component: string
  operation: string
  success: number
  error: number
  durationCount: number
  durationSumMs: number
}

/**
 * Lifetime counts of one component and operation. `buckets` is not cumulative and has one entry more than the bounds;
 * `examples` has the newest duration of each bucket that was measured in a trace.
 */
export interface OperationSeries extends OperationCounters {
  buckets: readonly number[]
  examples: HistogramCounts['examples']
}

/** `nowMs` is in ms of the monotonic clock. */
export interface RecordedOperation { isSuccess: boolean, durationMs: number | undefined, nowMs: number }

/** One component and operation: lifetime totals, and the latency of the last minute. */
export class RecordedSeries {
  readonly component: string
  readonly operation: string
  readonly #clock: Clock
  readonly #durations: Histogram
  #success = 0
  #error = 0
  #durationCount = 0
  #latency: LatencyWindow | undefined

  constructor (component: string, operation: string, boundsMs: readonly number[], clock: Clock) {
    this.#clock = clock
    this.component = component
    this.operation = operation
    this.#durations = new Histogram(boundsMs)
  }

  /** The durations of the last minute; `undefined` before the first one. */
  get latency (): LatencyWindow | undefined { return this.#latency }

  record ({ isSuccess, durationMs, nowMs }: RecordedOperation): void {
    if (isSuccess) this.#success++
    else this.#error++
    if (durationMs === undefined) return
    this.#durationCount++
    this.#durations.record(durationMs)
    this.#latency ??= new LatencyWindow(nowMs)
    this.#latency.add(bucketOf(durationMs), nowMs)
    const traceId = activeTraceId()
    if (traceId !== undefined) this.#durations.keepExample({ traceId, ms: durationMs, at: this.#clock.now() })
  }

  /** A copy of the totals. */
  totals (): OperationSeries {
    const { buckets, sumMs, examples } = this.#durations.read()
    return {
      component: this.component,
      operation: this.operation,
      success: this.#success,
      error: this.#error,
      durationCount: this.#durationCount,
      durationSumMs: sumMs,
      buckets,
      examples
    }
  }
}
