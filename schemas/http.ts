import { Type, type Static } from '@sinclair/typebox'
import { HealthSnapshot, HealthState } from './health.js'
import { WsMetrics } from './metrics.js'
import { MissionId, MissionQuery, MissionView } from './mission.js'

/** Response of `GET /mission-control/ws-metrics`. */
export const WsMetricsResponse = Type.Object({ timestamp: Type.String(), metrics: WsMetrics })
export type WsMetricsResponse = Static<typeof WsMetricsResponse>

const summary = {
  status: HealthState,
  timestamp: Type.String(),
  server: Type.String(),
  version: Type.String(),
  uptimeMs: Type.Integer({ minimum: 0 })
}

/** Response of `GET /health`; `health` and `metrics` are included with `?details=true`. */
export const HealthResponse = Type.Object({
  ...summary,
  health: Type.Optional(HealthSnapshot),
  metrics: Type.Optional(Type.Object({ ws: WsMetrics }))
})
export type HealthResponse = Static<typeof HealthResponse>

/** Response of `GET /health?probe=live|ready|startup`. */
export const ProbeResponse = Type.Object({ status: Type.Union([Type.Literal('ok'), Type.Literal('unavailable')]) })
export type ProbeResponse = Static<typeof ProbeResponse>

/** Query of `GET /health`; the value of `details` is case-insensitive. */
export const HealthQuery = Type.Object({
  details: Type.Optional(Type.String({ maxLength: 16 })),
  probe: Type.Optional(Type.Union([Type.Literal('live'), Type.Literal('ready'), Type.Literal('startup')]))
})
export type HealthQuery = Static<typeof HealthQuery>

/** Body of every error response, in the shape that Fastify uses. */
export const ErrorResponse = Type.Object({
  statusCode: Type.Integer(),
  code: Type.Optional(Type.String()),
  error: Type.String(),
  message: Type.String()
})
export type ErrorResponse = Static<typeof ErrorResponse>

/** Query of `GET /mission-control/missions`. Numbers are written in decimal digits. */
export const MissionListQuery = Type.Object({
  ...MissionQuery.properties,
  since: Type.Optional(Type.Integer({ minimum: 0 })),
  until: Type.Optional(Type.Integer({ minimum: 0 }))
}, { additionalProperties: false })
export type MissionListQuery = Static<typeof MissionListQuery>

/** Path parameters of the routes of one mission. */
export const MissionParams = Type.Object({ id: MissionId })
export type MissionParams = Static<typeof MissionParams>

/** Response of `GET /mission-control/missions`. Pass `nextCursor` as `cursor` to get the next page. */
export const MissionListResponse = Type.Object({
  missions: Type.Array(MissionView),
  nextCursor: Type.Union([Type.String(), Type.Null()])
})
export type MissionListResponse = Static<typeof MissionListResponse>

/** Response of `POST /mission-control/missions/:id/cancel`. */
export const CancelResponse = Type.Object({
  missionId: MissionId,
  result: Type.Union([Type.Literal('requested'), Type.Literal('already_requested'), Type.Literal('terminal')])
})
export type CancelResponse = Static<typeof CancelResponse>
