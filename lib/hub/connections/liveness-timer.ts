import type { Clock, Timer } from '../../base/clock.js'

/** Least time between two looks after all connections. */
const LEAST_MS = 1_000

/** What is looked after; gives the time at which it wants to be looked after again. */
export interface LivenessChecked { checkLiveness (now: number, turn: number): number }

/**
 * One timer for the care of all connections. It runs only when there is something to look after, and ten thousand connections share
 * one look. Counts the turns of the event loop between the looks, so that a stall of this process can be told from the silence of a peer.
 */
export class LivenessTimer {
  readonly #clock: Clock
  readonly #all: ReadonlySet<LivenessChecked>
  readonly #onCheck: () => void
  #timer: Timer | undefined
  #at = Infinity
  #tick = 0
  #isTickScheduled = false

  constructor (clock: Clock, all: ReadonlySet<LivenessChecked>, onSweep: () => void) {
    this.#clock = clock
    this.#all = all
    this.#onCheck = onSweep
  }

  /** Looks after all at `at` (ms of the monotonic clock) at the latest, or as soon as it may. */
  scheduleAt (at: number): void {
    const now = this.#clock.monotonic()
    const due = Math.max(at, now + LEAST_MS)
    if (due >= this.#at) return
    this.#timer?.cancel()
    this.#at = due
    this.#timer = this.#clock.after(Math.ceil(due - now), () => this.#check())
  }

  stop (): void {
    this.#timer?.cancel()
    this.#at = Infinity
  }

  #check (): void {
    const now = this.#clock.monotonic()
    this.#at = Infinity
    this.#onCheck()
    let next = Infinity
    for (const one of this.#all) next = Math.min(next, one.checkLiveness(now, this.#tick))
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
