import type { Clock, Timer } from '../../base/clock.js'

/** Least time between two checks of all connections. */
const MIN_INTERVAL_MS = 1_000

export interface LivenessChecked {
  /** Returns the time of its next check, in ms of the monotonic clock; `Infinity` for none. */
  checkLiveness (now: number, tick: number): number
}

export interface LivenessTimerDeps {
  clock: Clock
  connections: ReadonlySet<LivenessChecked>
  /** Called before each check. */
  onCheck: () => void
}

/**
 * One timer that checks all connections, however many there are; it runs only while a check is due. Counts the turns of
 * the event loop between checks, so that a stall of this process is not mistaken for a silent peer.
 */
export class LivenessTimer {
  readonly #deps: LivenessTimerDeps
  #timer: Timer | undefined
  #dueAt = Infinity
  #tick = 0
  #isTickScheduled = false

  constructor (deps: LivenessTimerDeps) {
    this.#deps = deps
  }

  /** Checks all connections at `at` (ms of the monotonic clock), or as soon as the minimum interval allows. */
  scheduleAt (at: number): void {
    const { clock } = this.#deps
    const now = clock.monotonic()
    const dueAt = Math.max(at, now + MIN_INTERVAL_MS)
    if (dueAt >= this.#dueAt) return
    this.#timer?.cancel()
    this.#dueAt = dueAt
    this.#timer = clock.after(Math.ceil(dueAt - now), () => this.#check())
  }

  stop (): void {
    this.#timer?.cancel()
    this.#dueAt = Infinity
  }

  #check (): void {
    const { clock, connections, onCheck } = this.#deps
    const now = clock.monotonic()
    this.#dueAt = Infinity
    onCheck()
    let next = Infinity
    for (const connection of connections) next = Math.min(next, connection.checkLiveness(now, this.#tick))
    this.#countTick()
    if (next < Infinity) this.scheduleAt(next)
  }

  #countTick (): void {
    if (this.#isTickScheduled) return
    this.#isTickScheduled = true
    setImmediate(() => {
      this.#isTickScheduled = false
      this.#tick++
    })
  }
}
