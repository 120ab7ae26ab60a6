import type { Clock } from '../../base/clock.js'
import { Queue } from '../../base/queue.js'
import type { MissionState } from '../../missions/index.js'

/** A log that is restored from before its end has lost a few seconds at most. */
const KEEP_MS = 30_000
const MAX = 10_000

/** The missions of this process that have just ended, because the registry may forget them before the log is safe. */
export class RecentEndings {
  readonly #clock: Clock
  readonly #ended = new Queue<{ mission: MissionState, at: number }>()

  constructor (clock: Clock) {
    this.#clock = clock
  }

  put (mission: MissionState): void {
    this.#ended.push({ mission, at: this.#clock.monotonic() })
    if (this.#ended.length > MAX) this.#ended.shift()
  }

  /**
   * The log has everything that this process has read. Old endings are dropped only now: a log that was away may have
   * lost its last writes.
   */
  confirmed (): void {
    const oldestAt = this.#clock.monotonic() - KEEP_MS
    for (let oldest = this.#ended.first; oldest !== undefined; oldest = this.#ended.first) {
      if (oldest.at >= oldestAt || !oldest.mission.isStored) return
      this.#ended.shift()
    }
  }

  /** Oldest first. */
  take (): MissionState[] { return this.#ended.slice().map(({ mission }) => mission) }
}
