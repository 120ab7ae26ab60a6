import { Type, type Static } from '@sinclair/typebox'

/** One finished piece of work of the host. `component` and `operation` become Prometheus labels: keep them few and free of ids. */
export const Operation = Type.Object({
  component: Type.String({ minLength: 1 }),
  operation: Type.String({ minLength: 1 }),
  status: Type.Union([Type.Literal('success'), Type.Literal('error')]),
  durationMs: Type.Optional(Type.Number()),
  errorCode: Type.Optional(Type.String())
}, { additionalProperties: false })
export type Operation = Static<typeof Operation>

/** Latency of the operations of the last `windowMs`, in ms; every figure is 0 while nothing was measured. */
export const LatencySnapshot = Type.Object({
  p50: Type.Number({ minimum: 0 }),
  p95: Type.Number({ minimum: 0 }),
  p99: Type.Number({ minimum: 0 }),
  count: Type.Integer({ minimum: 0 }),
  windowMs: Type.Integer({ minimum: 1 })
})
export type LatencySnapshot = Static<typeof LatencySnapshot>

/** Counters of the WebSocket route; `channels[].count` is the number of subscribers now. */
export const WsMetrics = Type.Object({
  connectionsOpen: Type.Integer({ minimum: 0 }),
  connectionsTotal: Type.Integer({ minimum: 0 }),
  messagesSentTotal: Type.Integer({ minimum: 0 }),
  subscriptionsTotal: Type.Integer({ minimum: 0 }),
  channels: Type.Array(Type.Object({ channel: Type.String(), count: Type.Integer({ minimum: 0 }) }))
})
export type WsMetrics = Static<typeof WsMetrics>
