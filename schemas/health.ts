import { Type, type Static } from '@sinclair/typebox'

export const HealthStatus = Type.Union([Type.Literal('healthy'), Type.Literal('degraded'), Type.Literal('critical')])
export type HealthStatus = Static<typeof HealthStatus>

/** A health status, or `unknown` until the first round of health checks has ended. */
export const HealthState = Type.Union([HealthStatus, Type.Literal('unknown')])
export type HealthState = Static<typeof HealthState>

export const ComponentStatus = Type.Union([
  Type.Literal('healthy'), Type.Literal('degraded'), Type.Literal('unhealthy')
])
export type ComponentStatus = Static<typeof ComponentStatus>

/** Maximum length of a reason. */
export const MAX_REASON_LENGTH = 256

const reason = Type.Optional(Type.String({ maxLength: MAX_REASON_LENGTH }))

/**
 * Health as a host reports it: the overall status, its components by name, and reasons shown to viewers of details.
 * Other properties are allowed and never leave the process.
 */
export const HealthReport = Type.Object({
  status: HealthStatus,
  components: Type.Optional(Type.Record(Type.String({ minLength: 1, maxLength: 64 }), Type.Object({
    status: ComponentStatus,
    responseTimeMs: Type.Optional(Type.Number({ minimum: 0 })),
    reason
  }))),
  reason
})
export type HealthReport = Static<typeof HealthReport>

/**
 * The health of one component, as clients see it. `error` is a code (`check_failed`, `check_timeout` or
 * `invalid_report`), never the message of an exception: that is written to the host's log. `reason` is the text that
 * the check or the host has given.
 */
export const HealthComponent = Type.Object({
  status: ComponentStatus,
  critical: Type.Boolean(),
  responseTimeMs: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
  error: Type.Union([Type.String({ maxLength: 64 }), Type.Null()]),
  checkedAt: Type.Union([Type.Integer(), Type.Null()]),
  reason
})
export type HealthComponent = Static<typeof HealthComponent>

/**
 * The last known health. `checkedAt` is in ms since 1970, `null` before the first round of health checks. `reason` is
 * the reason that the host reported with its status.
 */
export const HealthSnapshot = Type.Object({
  status: HealthState,
  checkedAt: Type.Union([Type.Integer(), Type.Null()]),
  components: Type.Record(Type.String(), HealthComponent),
  reason
})
export type HealthSnapshot = Static<typeof HealthSnapshot>
