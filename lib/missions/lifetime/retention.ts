import type { TerminalStatus } from '../../../schemas/mission.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from './deadline-queue.js'
import type { Mission } from '../mission.js'

interface Ended { mission: Mission, forgetAt: number }

/** Missions of one kind of ending, oldest first, bounded by number and by age. */
class RetentionQueue {
  readonly #keepMs: number
  readonly #max: number
  readonly #clock: Clock
  readonly #deadlines: DeadlineQueue
  readonly #forget: (mission: Mission) => void
  // A queue with a moving head: shift() on a long array would move all of it for every mission.
  #queue: Array<Ended | undefined> = []
  #head = 0
  #deadline: Deadline | undefined

  constructor (keepMs: number, max: number, { clock, deadlines, forget }: RetentionDeps) {
    this.#keepMs = keepMs
    this.#max = max
    this.#clock = clock
    this.#deadlines = deadlines
    this.#forget = forget
  }

  put (mission: Mission): void {
    this.#queue.push({ mission, forgetAt: this.#clock.monotonic() + this.#keepMs })
    this.#sweep()
  }

  #sweep (): void {
    const now = this.#clock.monotonic()
    for (let oldest = this.#oldest; oldest !== undefined; oldest = this.#oldest) {
      if (this.#queue.length - this.#head <= this.#max && oldest.forgetAt > now) break
      this.#queue[this.#head++] = undefined
      this.#forget(oldest.mission)
    }
    this.#compact()
    this.#arm(now)
  }

  get #oldest (): Ended | undefined { return this.#queue[this.#head] }

  #compact (): void {
    if (this.#head < 1_024 || this.#head * 2 < this.#queue.length) return
    this.#queue = this.#queue.slice(this.#head)
    this.#head = 0
  }

  // One deadline for the oldest; it need not move when that one goes early, since the next sweep looks again.
  #arm (now: number): void {
    const oldest = this.#oldest
    if (oldest === undefined || this.#deadline !== undefined) return
    this.#deadline = this.#deadlines.after(oldest.forgetAt - now, () => {
      this.#deadline = undefined
      this.#sweep()
    })
  }
}

export interface RetentionDeps {
  clock: Clock
  deadlines: DeadlineQueue
  forget: (mission: Mission) => void
}

/** How long missions that have ended can still be looked up: failed ones longer than the others. Totals do not depend on it. */
export class Retention {
  readonly #ended: RetentionQueue
  readonly #errors: RetentionQueue

  constructor (options: ResolvedOptions['missions'], setup: RetentionDeps) {
    this.#ended = new RetentionQueue(options.endedRetentionMs, options.maxEnded, setup)
    this.#errors = new RetentionQueue(options.errorRetentionMs, options.maxErrors, setup)
  }

  put (mission: Mission, status: TerminalStatus): void {
    (status === 'error' ? this.#errors : this.#ended).put(mission)
  }
}
