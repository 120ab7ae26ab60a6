import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../lifetime/deadline-queue.js'
import type { MissionStep } from '../types.js'
import type { Mission } from '../mission.js'

interface Waiting { step: MissionStep, deadline: Deadline }

export interface ProgressThrottleDeps {
  clock: Clock
  deadlines: DeadlineQueue
  /** Least time between two soft messages of one mission, in ms. */
  minIntervalMs: number
  /** Whether somebody hears of the mission, or may when it is told. */
  hasListeners: (mission: Mission) => boolean
  makeUpdate: (mission: Mission, step: MissionStep) => MissionUpdate
  emit: (mission: Mission, update: MissionUpdate) => void
  /** A mission has ended, and nobody listens. */
  ended: (mission: Mission) => void
}

/**
 * The pace at which missions are told about. Hard changes are told at once and in order. Soft ones (progress, notes) of one mission are
 * told at most at the given rate: the newest wins. What still waits goes out with the next hard change, and before an ending, so that the
 * last progress always comes before it. Nothing is built while nobody listens.
 */
export class ProgressThrottle {
  readonly #setup: ProgressThrottleDeps
  readonly #waiting = new Map<Mission, Waiting>()
  readonly #lastSoft = new Map<Mission, number>()

  constructor (setup: ProgressThrottleDeps) {
    this.#setup = setup
  }

  tell (mission: Mission, step: MissionStep, isSoft: boolean): void {
    const { hasListeners, clock } = this.#setup
    if (!hasListeners(mission)) {
      this.#forget(mission)
      if (mission.isTerminal) this.#setup.ended(mission)
      return
    }
    if (isSoft) return this.#tellSoft(mission, step)
    const waiting = this.#take(mission)
    if (mission.isTerminal) this.#lastSoft.delete(mission)
    else if (mission.status === 'execution_progress') this.#lastSoft.set(mission, clock.monotonic())
    this.#emit(mission, { ...waiting, ...step })
  }

  /** Tells at once what waits of one mission; to be called before it ends, while it still is as it was. */
  flush (mission: Mission): void {
    const step = this.#take(mission)
    if (step === undefined || !this.#setup.hasListeners(mission)) return
    this.#lastSoft.set(mission, this.#setup.clock.monotonic())
    this.#emit(mission, step)
  }

  close (): void {
    for (const { deadline } of this.#waiting.values()) deadline.cancel()
    this.#waiting.clear()
    this.#lastSoft.clear()
  }

  #tellSoft (mission: Mission, step: MissionStep): void {
    const waiting = this.#waiting.get(mission)
    if (waiting !== undefined) {
      waiting.step = { ...waiting.step, ...step }
      return
    }
    const { clock, deadlines, minIntervalMs } = this.#setup
    const now = clock.monotonic()
    const dueMs = (this.#lastSoft.get(mission) ?? -Infinity) + minIntervalMs - now
    if (dueMs <= 0) {
      this.#lastSoft.set(mission, now)
      return this.#emit(mission, step)
    }
    this.#waiting.set(mission, { step, deadline: deadlines.after(dueMs, () => this.flush(mission)) })
  }

  #emit (mission: Mission, step: MissionStep): void {
    this.#setup.emit(mission, this.#setup.makeUpdate(mission, step))
  }

  #take (mission: Mission): MissionStep | undefined {
    const waiting = this.#waiting.get(mission)
    this.#waiting.delete(mission)
    waiting?.deadline.cancel()
    return waiting?.step
  }

  #forget (mission: Mission): void {
    this.#take(mission)
    this.#lastSoft.delete(mission)
  }
}
