import { systemClock, type Timer } from '../../base/clock.js'

const SAMPLE_EVERY_MS = 100
const SAMPLES = 10

/**
 * The delay of the event loop: how late a timer fired at worst within the last second. Always measured with the system
 * clock, also where the plugin runs on a virtual one, because it describes this process.
 */
export class EventLoopDelay {
  readonly #samples: number[] = []
  #timer: Timer | undefined
  #expectedAt = 0

  get ms (): number { return Math.max(0, ...this.#samples) }

  start (): void {
    this.#expectedAt = systemClock.monotonic() + SAMPLE_EVERY_MS
    this.#timer = systemClock.every(SAMPLE_EVERY_MS, () => this.#sample(systemClock.monotonic()))
  }

  close (): void {
    this.#timer?.cancel()
  }

  #sample (now: number): void {
    this.#samples.push(Math.max(0, now - this.#expectedAt))
    if (this.#samples.length > SAMPLES) this.#samples.shift()
    this.#expectedAt = now + SAMPLE_EVERY_MS
  }
}
