import type { HealthState, HealthStatus } from '../../../schemas/health.js'
import { HEALTH_EVENTS, isWorse, mildestOf, worstOf, type HealthEvent } from './severity.js'

/** A change to announce: the new status and its event. */
export interface HealthTransition { event: HealthEvent, status: HealthStatus }

/**
 * Turns the results of health rounds into a status that does not flap.
 *
 * - Worse: two rounds in a row must be worse than the status. The new status is the milder of the two.
 * - Better: three rounds in a row must be better than the status. The new status is the worst of the three.
 * - First round: its result becomes the status at once, without a transition. If the result is not `healthy`, the
 *   transition follows after two bad rounds in a row, with the milder of the two as the status.
 *
 * A subscriber that knows the status of any moment and receives all later transitions knows the current status.
 */
export class HealthHysteresis {
  #status: HealthState = 'unknown'
  #isAnnounced = false
  #recent: HealthStatus[] = []

  /** `unknown` before the first round. */
  get status (): HealthState { return this.#status }

  /** Takes the result of one more round and returns the transition, if there is one. */
  observe (result: HealthStatus): HealthTransition | undefined {
    this.#recent = [...this.#recent.slice(-2), result]
    if (this.#status !== 'unknown') return this.#step()
    this.#status = result
    this.#isAnnounced = result === 'healthy'
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
