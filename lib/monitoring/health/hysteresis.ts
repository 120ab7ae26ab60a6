import type { HealthState, HealthStatus } from '../../../schemas/health.js'
import { HEALTH_EVENTS, isWorse, mildestOf, worstOf, type HealthEvent } from './severity.js'

/** A change to announce: the new status and its event. */
export interface HealthTransition { event: HealthEvent, status: HealthStatus }

/**
 * Turns the results of health rounds into a status that does not flap.
 *
 * - After two rounds in a row that are worse than the status, it becomes the milder result of the two.
 * - After three rounds in a row that are better than the status, it becomes the worst result of the three.
 * - The first round sets the status at once. If it is bad, it is announced only with the transition of the first two
 *   bad rounds in a row, which may also replace it with the milder result of the two.
 *
 * The status after any round plus all later transitions give the current status.
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
