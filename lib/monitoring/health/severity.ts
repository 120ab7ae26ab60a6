import type { HealthState, HealthStatus } from '../../../schemas/health.js'

/** The severity of each state. `unknown` never outweighs a known state. */
const SEVERITY: Record<HealthState, number> = { unknown: 0, healthy: 1, degraded: 2, critical: 3 }

/** Whether `one` is a worse state than `other`. */
export function isWorse (one: HealthState, other: HealthState): boolean {
  return SEVERITY[one] > SEVERITY[other]
}

/** The worst of the states; the first of equal ones. */
export function worstOf<State extends HealthState> (first: State, ...others: readonly State[]): State {
  return others.reduce((worst, state) => isWorse(state, worst) ? state : worst, first)
}

/** The mildest of the states; the first of equal ones. */
export function mildestOf<State extends HealthState> (first: State, ...others: readonly State[]): State {
  return others.reduce((mildest, state) => isWorse(mildest, state) ? state : mildest, first)
}

/** Events that announce a change of health. */
export type HealthEvent = 'health_degraded' | 'health_critical' | 'system_recovery'

/** The event that announces each status. */
export const HEALTH_EVENTS: Record<HealthStatus, HealthEvent> = {
  healthy: 'system_recovery',
  degraded: 'health_degraded',
  critical: 'health_critical'
}
