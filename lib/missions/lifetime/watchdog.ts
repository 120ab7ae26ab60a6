import type { CancelKind } from '../../../schemas/mission.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from './deadline-queue.js'
import type { MissionState } from '../state/mission-state.js'

interface Watch { stall?: Deadline, timeout?: Deadline | undefined, grace?: Deadline }

/**
 * What happens to a mission that does nothing: the stall clock, the time-out, and the grace after a request to cancel.
 * A sign of life costs nothing here; the stall deadline looks at the last one only when it is due.
 */
export class Watchdog {
  readonly #options: ResolvedOptions['missions']
  readonly #clock: Clock
  readonly #deadlines: DeadlineQueue
  readonly #watches = new Map<MissionState, Watch>()

  constructor (options: ResolvedOptions['missions'], clock: Clock, deadlines: DeadlineQueue) {
    this.#options = options
    this.#clock = clock
    this.#deadlines = deadlines
  }

  watch (mission: MissionState, timeoutMs: number | undefined): void {
    const watch: Watch = {}
    this.#watches.set(mission, watch)
    this.#watchStall(mission, watch, this.#options.stallMs)
    if (timeoutMs !== undefined) this.setTimeout(mission, timeoutMs)
  }

  /** Sets or moves the time-out to `ms` from now; no progress ever does. */
  setTimeout (mission: MissionState, ms: number): void {
    const watch = this.#watches.get(mission)
    if (watch === undefined) return
    watch.timeout?.cancel()
    watch.timeout = this.#deadlines.after(ms, () => mission.requestCancel('timeout', { reason: 'The mission took longer than its time-out' }))
  }

  /** Gives a mission that was asked to end its time to do so. */
  startGrace (mission: MissionState, kind: CancelKind): void {
    const { cancelGraceMs, closeGraceMs } = this.#options
    const watch = this.#watches.get(mission)!
    watch.timeout?.cancel()
    watch.grace = this.#deadlines.after(kind === 'shutdown' ? closeGraceMs : cancelGraceMs, () => mission.force())
  }

  forget (mission: MissionState): void {
    const { stall, timeout, grace } = this.#watches.get(mission)!
    this.#watches.delete(mission)
    stall?.cancel()
    timeout?.cancel()
    grace?.cancel()
  }

  #watchStall (mission: MissionState, watch: Watch, ms: number): void {
    const { stallMs } = this.#options
    watch.stall = this.#deadlines.after(ms, () => {
      // From the due time, not from the idle time: the latter, rounded, can stay a hair too short for ever.
      const leftMs = mission.activeMonotonic + stallMs - this.#clock.monotonic()
      if (leftMs <= 0 && mission.waiting === null && !mission.isStalled) this.#stalled(mission)
      // An ended mission is no longer watched. One that is stalled or waits is looked at again, in case it comes back
      // to life.
      if (this.#watches.has(mission)) this.#watchStall(mission, watch, leftMs > 0 ? leftMs : stallMs)
    })
  }

  #stalled (mission: MissionState): void {
    mission.flagStalled()
    // A listener that was told of it may have woken or ended the mission; one that was asked to end has its grace.
    if (!mission.isStalled || mission.cancel !== null) return
    if (this.#options.onStall === 'cancel') mission.requestCancel('stall', { reason: 'The mission showed no activity' })
    if (this.#options.onStall === 'error') mission.endStalled({ code: 'stalled', message: 'The mission showed no activity' })
  }
}
