import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../lifetime/deadline-queue.js'
import type { MissionState } from '../state/mission-state.js'
import type { MissionStep } from '../types.js'

interface Delayed { step: MissionStep, deadline: Deadline }

export interface ProgressThrottleDeps {
  clock: Clock
  deadlines: DeadlineQueue
  /** Minimum time between two replaceable updates of one mission, in ms. */
  minIntervalMs: number
  /** Called when the delay of a mission's step is over. */
  onDue: (mission: MissionState) => void
}

/**
 * The progress limit: replaceable updates of one mission pass at the given rate; in between, the newest step is kept.
 */
export class ProgressThrottle {
  readonly #deps: ProgressThrottleDeps
  readonly #delayed = new Map<MissionState, Delayed>()
  readonly #passedAt = new Map<MissionState, number>()

  constructor (deps: ProgressThrottleDeps) {
    this.#deps = deps
  }

  /** Whether a replaceable step may be emitted now; otherwise it is merged into the delayed step of its mission. */
  admit (mission: MissionState, step: MissionStep): boolean {
    const delayed = this.#delayed.get(mission)
    if (delayed !== undefined) {
      delayed.step = { ...delayed.step, ...step }
      return false
    }
    const { clock, deadlines, minIntervalMs, onDue } = this.#deps
    const now = clock.monotonic()
    const dueMs = (this.#passedAt.get(mission) ?? -Infinity) + minIntervalMs - now
    if (dueMs > 0) this.#delayed.set(mission, { step, deadline: deadlines.after(dueMs, () => onDue(mission)) })
    else this.#passedAt.set(mission, now)
    return dueMs <= 0
  }

  /** Removes the delayed step of a mission and returns it. */
  take (mission: MissionState): MissionStep | undefined {
    const delayed = this.#delayed.get(mission)
    if (delayed === undefined) return undefined
    this.#delayed.delete(mission)
    delayed.deadline.cancel()
    return delayed.step
  }

  /** A step was emitted without being asked for here; the next one waits its interval. */
  restart (mission: MissionState): void {
    this.#passedAt.set(mission, this.#deps.clock.monotonic())
  }

  forget (mission: MissionState): void {
    if (this.#delayed.size > 0) this.take(mission)
    if (this.#passedAt.size > 0) this.#passedAt.delete(mission)
  }

  close (): void {
    for (const { deadline } of this.#delayed.values()) deadline.cancel()
    this.#delayed.clear()
    this.#passedAt.clear()
  }
}
