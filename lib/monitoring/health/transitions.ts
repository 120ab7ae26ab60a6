import type { HealthState, HealthStatus } from '../../../schemas/health.js'

const STATUSES: readonly HealthStatus[] = ['healthy', 'degraded', 'critical']

/** How often the status has changed from one to another. */
export interface HealthTransitionCount { from: HealthStatus, to: HealthStatus, count: number }

/** Counts the changes of the health. Every possible change is there from the start. */
export class HealthTransitions {
  readonly #counts: readonly HealthTransitionCount[] = STATUSES.flatMap((from) =>
    STATUSES.filter((to) => to !== from).map((to) => ({ from, to, count: 0 })))

  /** Does nothing if the status has not changed, or was not known before. */
  changed (before: HealthState, after: HealthState): void {
    const found = this.#counts.find(({ from, to }) => from === before && to === after)
    if (found !== undefined) found.count++
  }

  read (): HealthTransitionCount[] {
    return this.#counts.map((one) => ({ ...one }))
  }
}
