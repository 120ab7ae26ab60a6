import { Type, type Static } from '@sinclair/typebox'

export const AnomalySeverity = Type.Union([Type.Literal('info'), Type.Literal('warning'), Type.Literal('critical')])
export type AnomalySeverity = Static<typeof AnomalySeverity>

/** One alert. Its `alertId` is constant from the first `firing` to `resolved`; a resolved alert has severity `info`. */
export const Anomaly = Type.Object({
  category: Type.Union([
    Type.Literal('mission'), Type.Literal('performance'), Type.Literal('health'), Type.Literal('monitoring')
  ]),
  severity: AnomalySeverity,
  message: Type.String({ minLength: 1, maxLength: 512 }),
  metric: Type.Union([Type.String(), Type.Null()]),
  value: Type.Union([Type.Number(), Type.Null()]),
  threshold: Type.Union([Type.Number(), Type.Null()]),
  details: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()]),
  alertId: Type.String({ minLength: 1 }),
  rule: Type.String({ minLength: 1 }),
  state: Type.Union([Type.Literal('firing'), Type.Literal('resolved')]),
  snapshot: Type.Optional(Type.Literal(true))
})
export type Anomaly = Static<typeof Anomaly>
