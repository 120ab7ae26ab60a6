import { Type, type Static } from '@sinclair/typebox'

/**
 * One operation of the host that has ended. `component` and `operation` become Prometheus labels: use few values and no
 * ids.
 */
export const Operation = Type.Object({
  component: Type.String({ minLength: 1 }),
  operation: Type.String({ minLength: 1 }),
  status: Type.Union([Type.Literal('success'), Type.Literal('error')]),
  durationMs: Type.Optional(Type.Number()),
  errorCode: Type.Optional(Type.String())
}, { additionalProperties: false })
export type Operation = Static<typeof Operation>

/** Latency percentiles of the operations of the last `windowMs`, in ms; all 0 if there were none. */
export const LatencySnapshot = Type.Object({
  p50: Type.Number({ minimum: 0 }),
  p95: Type.Number({ minimum: 0 }),
  p99: Type.Number({ minimum: 0 }),
  count: Type.Integer({ minimum: 0 }),
  windowMs: Type.Integer({ minimum: 1 })
})
export type LatencySnapshot = Static<typeof LatencySnapshot>

/** The latency of one operation within the last minute, in ms. The names are label values. */
export const OperationLatency = Type.Object({
  component: Type.String({ minLength: 1, maxLength: 64 }),
  operation: Type.String({ minLength: 1, maxLength: 64 }),
  count: Type.Integer({ minimum: 0 }),
  p50Ms: Type.Number({ minimum: 0 }),
  p95Ms: Type.Number({ minimum: 0 }),
  p99Ms: Type.Number({ minimum: 0 })
})
export type OperationLatency = Static<typeof OperationLatency>

/** The number of buckets of a latency histogram. */
export const LATENCY_BUCKETS = 1_025

/**
 * All durations since the histogram began, which is when `epoch` changes. `buckets` has the number and the count of
 * each bucket that is not empty, in ascending order. Bucket 0 counts durations of 0; for `i` from 1 to 1,024, bucket
 * `i` begins at `2^(floor((i - 1) / 32) - 10) * (1 + ((i - 1) % 32) / 32)` ms and ends where bucket `i + 1` begins.
 */
export const LatencyHistogram = Type.Object({
  epoch: Type.String({ minLength: 1, maxLength: 128 }),
  count: Type.Integer({ minimum: 0 }),
  sumMs: Type.Number({ minimum: 0 }),
  buckets: Type.Array(
    Type.Tuple([Type.Integer({ minimum: 0 }), Type.Integer({ minimum: 1 })]), { maxItems: LATENCY_BUCKETS }
  )
})
export type LatencyHistogram = Static<typeof LatencyHistogram>

/** Additional content that a subscriber of `metrics_tick` may request. */
export const LATENCY_PARTS = ['histogram', 'operations'] as const
export type LatencyPart = (typeof LATENCY_PARTS)[number]

/** Counters of the WebSocket route; `channels[].count` is the current number of subscribers. */
export const WsMetrics = Type.Object({
  connectionsOpen: Type.Integer({ minimum: 0 }),
  connectionsTotal: Type.Integer({ minimum: 0 }),
  messagesSentTotal: Type.Integer({ minimum: 0 }),
  subscriptionsTotal: Type.Integer({ minimum: 0 }),
  channels: Type.Array(Type.Object({ channel: Type.String(), count: Type.Integer({ minimum: 0 }) }))
})
export type WsMetrics = Static<typeof WsMetrics>
