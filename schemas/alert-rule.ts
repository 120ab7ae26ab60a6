import { Type, type Static } from '@sinclair/typebox'
import { MAX_ALERT_MISSIONS } from './anomaly.js'

const Limit = Type.Optional(Type.Number())

/**
 * The measurement of a host rule: the alert fires while `value` is above a limit, with the severity of that limit.
 * `labels` identify the alert together with the rule; use few values.
 */
export const HostAlertReading = Type.Object({
  message: Type.String({ minLength: 1, maxLength: 512 }),
  value: Type.Number(),
  metric: Type.Optional(Type.String({ maxLength: 128 })),
  info: Limit,
  warning: Limit,
  critical: Limit,
  labels: Type.Optional(Type.Record(
    Type.String({ pattern: '^[a-zA-Z_]\\w{0,31}$' }), Type.String({ maxLength: 128 }),
    { maxProperties: 5, additionalProperties: false }
  )),
  details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  missionIds: Type.Optional(Type.Array(
    Type.String({ minLength: 1, maxLength: 256 }), { maxItems: MAX_ALERT_MISSIONS }
  ))
}, { additionalProperties: false })
export type HostAlertReading = Static<typeof HostAlertReading>

/** The result of a host rule: one reading, a list of readings, or nothing if all is well. */
export const HostAlertResult = Type.Union([
  HostAlertReading, Type.Array(HostAlertReading, { maxItems: 50 }), Type.Null()
])
export type HostAlertResult = Static<typeof HostAlertResult>

/** The properties of a rule of the host that are not functions. */
export const HostAlertRuleHead = Type.Object({
  rule: Type.String({ pattern: '^[a-zA-Z][\\w.:-]{0,63}$' }),
  category: Type.Optional(Type.Union([
    Type.Literal('mission'), Type.Literal('performance'), Type.Literal('health'), Type.Literal('monitoring')
  ])),
  forMs: Type.Optional(Type.Integer({ minimum: 0 })),
  keepMs: Type.Optional(Type.Integer({ minimum: 0 })),
  repeatMs: Type.Optional(Type.Integer({ minimum: 0 })),
  timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 600_000 }))
})
export type HostAlertRuleHead = Static<typeof HostAlertRuleHead>
