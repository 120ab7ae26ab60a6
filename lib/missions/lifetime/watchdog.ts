import type { CancelKind } from '../../../schemas/mission.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import type { MissionState } from '../state/mission-state.js'
import type { Deadline, DeadlineQueue } from './deadline-queue.js'

const TIMEOUT = { reason: 'The mission took longer than its timeout' }
const NO_ACTIVITY = 'The mission showed no activity'

interface Watch { stall?: Deadline, timeout?: Deadline | undefined, grace?: Deadline | undefined }

/**
 * Watches missions that make no progress: stall detection, timeouts, and the grace period after a cancel request.
 * Activity costs nothing here: the stall deadline reads the time of the last activity only when it is due.
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

  /** Not a second time. */
  watch (mission: MissionState): void {
    if (this.#watches.has(mission)) return
    const { timeoutMs = this.#options.timeoutMs } = mission
    const watch: Watch = {}
    this.#watches.set(mission, watch)
    this.#watchStall(mission, watch, this.#options.stallMs)
    if (timeoutMs !== undefined) this.setTimeout(mission, timeoutMs)
  }

  /** Sets or moves the timeout to `ms` from now. Progress never moves it. */
  setTimeout (mission: MissionState, ms: number): void {
    const watch = this.#watches.get(mission)
    if (watch === undefined) return
    watch.timeout?.cancel()
    watch.timeout = this.#deadlines.after(ms, () => mission.requestCancel('timeout', TIMEOUT))
  }

  /** Forces a mission to end that was asked to and does not end within its grace period. Not a second time. */
  startGrace (mission: MissionState, kind: CancelKind): void {
    const { cancelGraceMs, closeGraceMs } = this.#options
    // A mission of another process is watched only from here on.
    const watch = this.#watches.get(mission) ?? {}
    this.#watches.set(mission, watch)
    watch.timeout?.cancel()
    watch.grace ??= this.#deadlines.after(kind === 'shutdown' ? closeGraceMs : cancelGraceMs, () => {
      watch.grace = undefined
      mission.force()
    })
  }

  forget (mission: MissionState): void {
    const { stall, timeout, grace } = this.#watches.get(mission) ?? {}
    this.#watches.delete(mission)
    stall?.cancel()
    timeout?.cancel()
    grace?.cancel()
  }

  #watchStall (mission: MissionState, watch: Watch, ms: number): void {
    const { stallMs } = this.#options
    watch.stall = this.#deadlines.after(ms, () => {
      // Computed from the due time: an idle time can, by rounding, stay slightly too short for ever.
      const leftMs = mission.activeMonotonic + stallMs - this.#clock.monotonic()
      if (leftMs <= 0 && mission.waiting === null && !mission.isStalled) this.#stalled(mission)
      // An ended mission is no longer watched. A stalled or waiting one is, because it may become active again.
      if (this.#watches.has(mission)) this.#watchStall(mission, watch, leftMs > 0 ? leftMs : stallMs)
    })
  }

  #stalled (mission: MissionState): void {
    mission.flagStalled()
    // A listener may have ended the mission or made it active; a mission that was asked to end has its grace period.
    if (!mission.isStalled || mission.cancel !== null) return
    if (this.#options.onStall === 'cancel') mission.requestCancel('stall', { reason: NO_ACTIVITY })
    if (this.#options.onStall === 'error') mission.endStalled({ code: 'stalled', message: NO_ACTIVITY })
  }
}
