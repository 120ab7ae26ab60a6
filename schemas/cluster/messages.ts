import { Type, type Static } from '@sinclair/typebox'
import { HealthSnapshot } from '../health.js'
import { LATENCY_BUCKETS, OperationLatency } from '../metrics.js'
import { CancelKind, MissionId } from '../mission.js'

const InstanceId = Type.String({ minLength: 1, maxLength: 128 })
/** How many operations of one process are watched by the process that evaluates the alerts. */
export const MAX_COUNTED_OPERATIONS = 100

const Count = Type.Integer({ minimum: 0 })
const LatencyBucketCounts = Type.Array(Type.Tuple([Count, Count]), { maxItems: LATENCY_BUCKETS })

/** Asks the process that runs a mission to cancel it. `call` identifies the answer. */
export const CancelCall = Type.Object({
  type: Type.Literal('cancel'),
  call: Type.String({ maxLength: 64 }),
  from: InstanceId,
  missionId: MissionId,
  attempt: Type.Integer({ minimum: 1 }),
  kind: CancelKind,
  reason: Type.Optional(Type.String({ maxLength: 256 })),
  by: Type.Optional(Type.String({ maxLength: 128 }))
})
export type CancelCall = Static<typeof CancelCall>

const CancelReply = Type.Object({
  type: Type.Literal('cancelled'),
  call: Type.String({ maxLength: 64 }),
  result: Type.Union([
    Type.Literal('requested'), Type.Literal('already_requested'), Type.Literal('terminal'), Type.Literal('not_found')
  ])
})
export type CancelReply = Static<typeof CancelReply>

/**
 * The numbers of a process that others add to their own: durations of the last minute by the buckets of the latency
 * window, the health, counts that are not in the log, and, if it has clients, how the process gets along. `total`, all
 * durations of the process, `operations`, the last minute of the busiest operations, and `operationCounters`, those of
 * the operations that were reported most, are sent while another process `asks` for them.
 */
export const ClusterReport = Type.Object({
  type: Type.Literal('report'),
  from: InstanceId,
  latency: LatencyBucketCounts,
  asks: Type.Optional(Type.Boolean()),
  total: Type.Optional(Type.Object({ counts: LatencyBucketCounts, sumMs: Type.Number({ minimum: 0 }) })),
  operations: Type.Optional(Type.Array(Type.Object({
    component: OperationLatency.properties.component,
    operation: OperationLatency.properties.operation,
    counts: LatencyBucketCounts
  }), { maxItems: 20 })),
  operationCounters: Type.Optional(Type.Array(Type.Object({
    component: OperationLatency.properties.component,
    operation: OperationLatency.properties.operation,
    success: Count,
    error: Count,
    durationCount: Count,
    durationSumMs: Type.Number({ minimum: 0 })
  }), { maxItems: MAX_COUNTED_OPERATIONS })),
  process: Type.Optional(Type.Object({ eventLoopDelayMs: Type.Number({ minimum: 0 }), slowConsumers: Count })),
  health: HealthSnapshot,
  lateOutcomes: Count,
  refused: Count,
  untracked: Count
})
export type ClusterReport = Static<typeof ClusterReport>

/** Asks the process that evaluates the alerts to evaluate those of some tenants. */
export const TenantAlertsAsked = Type.Object({
  type: Type.Literal('tenant_alerts'),
  tenants: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { maxItems: 100 })
})
export type TenantAlertsAsked = Static<typeof TenantAlertsAsked>

/** A message from one process to others. */
export const ClusterMessage = Type.Union([CancelCall, CancelReply, ClusterReport, TenantAlertsAsked])
export type ClusterMessage = Static<typeof ClusterMessage>
