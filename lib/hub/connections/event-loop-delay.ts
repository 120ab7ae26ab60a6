import { systemClock, type Timer } from '../../base/clock.js'

const LOOK_EVERY_MS = 100
/** How many looks the worst of which counts. */
const LOOKS = 10

/**
 * How late the event loop is: the worst lateness of a timer within the last second. On the real clock whatever the plugin's is, since it is
 * about this very process.
 */
export class EventLoopDelay {
  readonly #recent: number[] = []
  #timer: Timer | undefined
  #expectedAt = 0

  get ms (): number { return Math.max(0, ...this.#recent) }

  start (): void {
    this.#expectedAt = systemClock.monotonic() + LOOK_EVERY_MS
    this.#timer = systemClock.every(LOOK_EVERY_MS, () => this.#look(systemClock.monotonic()))
  }

  close (): void {
    this.#timer?.cancel()
  }

  #look (now: number): void {
    this.#recent.push(Math.max(0, now - this.#expectedAt))
    if (this.#recent.length > LOOKS) this.#recent.shift()
    this.#expectedAt = now + LOOK_EVERY_MS
  }
}
