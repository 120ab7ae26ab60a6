import { Type, type Static } from '@sinclair/typebox'
import { LatencyHistogram, LatencySnapshot, OperationLatency } from '../metrics.js'

/**
 * Latency percentiles of the operations of the last `windowMs`, in ms. `tISO` is the time of the computation.
 * `histogram` and `operations`, the busiest ones first, are there if the subscriber has asked for them.
 */
export const MetricsTick = Type.Composite([LatencySnapshot, Type.Object({
  tISO: Type.String({ minLength: 24 }),
  histogram: Type.Optional(LatencyHistogram),
  operations: Type.Optional(Type.Array(OperationLatency, { maxItems: 20 }))
})])
export type MetricsTick = Static<typeof MetricsTick>
