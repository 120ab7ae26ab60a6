import { Type, type Static } from '@sinclair/typebox'

export const AnomalySeverity = Type.Union([Type.Literal('info'), Type.Literal('warning'), Type.Literal('critical')])
export type AnomalySeverity = Static<typeof AnomalySeverity>

/** Maximum number of alerts in the history. */
export const MAX_ALERT_HISTORY = 200

/** Maximum number of missions that one alert names. */
export const MAX_ALERT_MISSIONS = 10

/** Maximum length of the fingerprint of an alert. */
export const MAX_FINGERPRINT = 512

const IsoTime = Type.String({ maxLength: 32 })

/**
 * One alert. Its `alertId` is constant from the first `firing` to `resolved`; a resolved alert has severity `info`. Its
 * `fingerprint` is the rule with the labels, and is the same each time the alert fires. `peak` is the worst value so
 * far. `missionIds` are affected missions; a message of a firing alert lists only new ones.
 */
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
  snapshot: Type.Optional(Type.Literal(true)),
  fingerprint: Type.Optional(Type.String({ minLength: 1, maxLength: MAX_FINGERPRINT })),
  labels: Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: 128 }))),
  startsAt: Type.Optional(IsoTime),
  endsAt: Type.Optional(IsoTime),
  peak: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
  flapping: Type.Optional(Type.Literal(true)),
  reminder: Type.Optional(Type.Literal(true)),
  silencedUntil: Type.Optional(IsoTime),
  missionIds: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: MAX_ALERT_MISSIONS }))
})
export type Anomaly = Static<typeof Anomaly>
