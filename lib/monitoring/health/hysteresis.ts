import type { HealthState, HealthStatus } from '../../../schemas/health.js'
import { HEALTH_EVENTS, isWorse, mildestOf, worstOf, type HealthEvent } from './levels.js'

/** A change worth telling: the status that now holds, and the event that announces it. */
export interface HealthTransition { event: HealthEvent, status: HealthStatus }

/**
 * Turns the levels of health rounds into a status that does not flap.
 *
 * - It gets worse when two rounds in a row are worse than it, to the milder level of the two.
 * - It gets better when three rounds in a row are better than it, to the worst level of the three.
 * - The first round sets the status at once, being all that is known. If that is bad it is announced later, by the edge of
 *   the first two bad rounds in a row; until then the milder of those two may also replace it.
 *
 * Whoever saw the status after some round and every edge since knows the status.
 */
export class HealthHysteresis {
  #status: HealthState = 'unknown'
  #isAnnounced = false
  #recent: HealthStatus[] = []

  /** `unknown` before the first round. */
  get status (): HealthState { return this.#status }

  /** Takes the level of one more round and answers the edge if there is one. */
  observe (level: HealthStatus): HealthTransition | undefined {
    this.#recent = [...this.#recent.slice(-2), level]
    if (this.#status !== 'unknown') return this.#step()
    this.#status = level
    this.#isAnnounced = level === 'healthy'
    return undefined
  }

  #step (): HealthTransition | undefined {
    const [last, ...earlier] = this.#recent.toReversed() as [HealthStatus, HealthStatus, HealthStatus?]
    const confirmed = mildestOf(last, earlier[0])
    if (isWorse(confirmed, this.#isAnnounced ? this.#status : 'healthy')) return this.#move(confirmed)
    if (earlier[1] === undefined) return undefined
    const recovered = worstOf(last, earlier[0], earlier[1])
    return isWorse(this.#status, recovered) ? this.#move(recovered) : undefined
  }

  #move (status: HealthStatus): HealthTransition {
    this.#status = status
    this.#isAnnounced = true
    return { event: HEALTH_EVENTS[status], status }
  }
}
