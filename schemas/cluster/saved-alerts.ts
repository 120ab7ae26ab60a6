import { Type } from '@sinclair/typebox'
import { Anomaly, AnomalySeverity, MAX_FINGERPRINT } from '../anomaly.js'
import { LATEST_TIME_MS } from '../limits.js'

const { properties } = Anomaly
const Time = Type.Integer()
const TenantId = Type.String({ minLength: 1, maxLength: 128 })
/** Sent to clients as ISO 8601. */
const ShownTime = Type.Number({ minimum: 0, maximum: LATEST_TIME_MS })

/** The firing alerts, which the process that evaluates the rules leaves to the next one. */
export const SavedAlerts = Type.Array(Type.Object({
  alertId: properties.alertId,
  severity: AnomalySeverity,
  startsAt: ShownTime,
  sentAt: Time,
  peak: Type.Union([Type.Number(), Type.Null()]),
  absentSince: Type.Optional(Time),
  namedUpTo: Type.Optional(Type.Number()),
  isFlapping: Type.Optional(Type.Boolean()),
  condition: Type.Object({
    key: Type.String({ minLength: 1, maxLength: MAX_FINGERPRINT }),
    severity: AnomalySeverity,
    labels: Type.Record(Type.String(), Type.String({ maxLength: 128 })),
    rule: properties.rule,
    category: properties.category,
    message: properties.message,
    metric: properties.metric,
    value: properties.value,
    threshold: properties.threshold,
    details: properties.details,
    namesEach: Type.Optional(Type.Boolean())
  })
}), { maxItems: 1_000 })

/** The resolved alerts, oldest first. */
export const SavedHistory = Type.Array(Anomaly, { maxItems: 1_000 })

/** The silences by fingerprint. */
export const SavedSilences = Type.Array(Type.Tuple([
  Type.String({ maxLength: MAX_FINGERPRINT }), Type.Object({ until: ShownTime, by: Type.String({ maxLength: 128 }) })
]), { maxItems: 1_000 })

/** The alerts of some tenants; also of tenants without any, because they are evaluated. */
export const SavedTenantAlerts = Type.Array(Type.Object({
  tenant: TenantId, firing: SavedAlerts, resolved: SavedHistory
}), { maxItems: 1_000 })
