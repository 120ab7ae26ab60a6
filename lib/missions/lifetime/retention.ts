import type { TerminalStatus } from '../../../schemas/mission.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import { Queue } from '../../base/queue.js'
import type { MissionState } from '../state/mission-state.js'
import type { Deadline, DeadlineQueue } from './deadline-queue.js'

export interface RetentionDeps {
  clock: Clock
  deadlines: DeadlineQueue
  forget: (mission: MissionState) => void
}

/** A failure is often looked into on the next day. */
const ERROR_RETENTION_MS = 86_400_000

/** How long ended missions can be looked up: failed ones longer than the others. The totals do not depend on it. */
export class Retention {
  readonly #ended: RetentionQueue
  readonly #failed: RetentionQueue

  constructor ({ endedRetentionMs, maxEnded }: ResolvedOptions['missions'], deps: RetentionDeps) {
    this.#ended = new RetentionQueue(endedRetentionMs, maxEnded, deps)
    this.#failed = new RetentionQueue(Math.max(endedRetentionMs, ERROR_RETENTION_MS), maxEnded, deps)
  }

  put (mission: MissionState, status: TerminalStatus): void {
    (status === 'error' ? this.#failed : this.#ended).put(mission)
  }
}

interface Kept { mission: MissionState, forgetAt: number }

/** Ended missions of one kind, oldest first, bounded by count and age. */
class RetentionQueue {
  readonly #keepMs: number
  readonly #max: number
  readonly #deps: RetentionDeps
  readonly #queue = new Queue<Kept>()
  #deadline: Deadline | undefined

  constructor (keepMs: number, max: number, deps: RetentionDeps) {
    this.#keepMs = keepMs
    this.#max = max
    this.#deps = deps
  }

  put (mission: MissionState): void {
    this.#queue.push({ mission, forgetAt: this.#deps.clock.monotonic() + this.#keepMs })
    this.#trim()
  }

  #trim (): void {
    const now = this.#deps.clock.monotonic()
    for (let oldest = this.#queue.first; oldest !== undefined; oldest = this.#queue.first) {
      if (this.#queue.length <= this.#max && oldest.forgetAt > now) break
      this.#queue.shift()
      this.#deps.forget(oldest.mission)
    }
    this.#schedule(now)
  }

  // One deadline for the oldest entry. It stays when that entry goes early, because the next trim looks again.
  #schedule (now: number): void {
    const oldest = this.#queue.first
    if (oldest === undefined || this.#deadline !== undefined) return
    this.#deadline = this.#deps.deadlines.after(oldest.forgetAt - now, () => {
      this.#deadline = undefined
      this.#trim()
    })
  }
}
