import { Type, type Static } from '@sinclair/typebox'
import { LatencySnapshot } from '../metrics.js'

/** Latency percentiles of the operations of the last `windowMs`, in ms. `tISO` is the time of the computation. */
export const MetricsTick = Type.Composite([LatencySnapshot, Type.Object({ tISO: Type.String({ minLength: 24 }) })])
export type MetricsTick = Static<typeof MetricsTick>
