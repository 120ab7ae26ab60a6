import { Type, type Static } from '@sinclair/typebox'
import { HealthSnapshot, HealthState } from '../health.js'

/** A change of health. `snapshot` marks the current state, which a new subscriber receives first. */
export const HealthDelta = Type.Object({
  status: HealthState,
  health: HealthSnapshot,
  snapshot: Type.Optional(Type.Literal(true))
})
export type HealthDelta = Static<typeof HealthDelta>
