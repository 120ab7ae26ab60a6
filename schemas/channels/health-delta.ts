import { Type, type Static } from '@sinclair/typebox'
import { HealthSnapshot, HealthState } from '../health.js'

/** A change of health. `snapshot` marks the state that a new subscriber gets, which is no change. */
export const HealthDelta = Type.Object({
  status: HealthState,
  health: HealthSnapshot,
  snapshot: Type.Optional(Type.Literal(true))
})
export type HealthDelta = Static<typeof HealthDelta>
