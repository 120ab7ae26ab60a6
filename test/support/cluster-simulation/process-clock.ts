import type { Clock, Timer } from '../../../lib/base/clock.js'

/**
 * The clock of one process, which can be paused or killed. What becomes due while it is paused happens when it goes on,
 * in the same order; its time does not stop.
 */
export class ProcessClock implements Clock {
  readonly #world: Clock
  readonly #timers = new Set<Timer>()
  #waiting: Array<() => void> = []
  #state: 'running' | 'paused' | 'dead' = 'running'
  /** How often it was paused. */
  pauses = 0

  constructor (world: Clock) {
    this.#world = world
  }

  get isRunning (): boolean { return this.#state === 'running' }

  get isDead (): boolean { return this.#state === 'dead' }

  now (): number { return this.#world.now() }

  monotonic (): number { return this.#world.monotonic() }

  after (ms: number, run: () => void): Timer {
    let isCancelled = false
    const inner = this.#world.after(ms, () => {
      this.#timers.delete(timer)
      this.run(() => { if (!isCancelled) run() })
    })
    const timer = this.#add(inner, () => { isCancelled = true })
    return timer
  }

  every (ms: number, run: () => void): Timer {
    let isCancelled = false
    let isDue = false
    const inner = this.#world.every(ms, () => {
      // Of the rounds that a paused process misses, one takes place.
      if (isDue) return
      isDue = true
      this.run(() => {
        isDue = false
        if (!isCancelled) run()
      })
    })
    return this.#add(inner, () => { isCancelled = true })
  }

  /** Runs the function as a part of this process: at once, when it goes on, or never. */
  run (part: () => void): void {
    if (this.#state === 'running') part()
    else if (this.#state === 'paused') this.#waiting.push(part)
  }

  pause (): void {
    if (this.#state !== 'running') return
    this.#state = 'paused'
    this.pauses++
  }

  resume (): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    for (const part of this.#waiting.splice(0)) this.run(part)
  }

  kill (): void {
    this.#state = 'dead'
    this.#waiting = []
    for (const timer of this.#timers) timer.cancel()
  }

  #add (inner: Timer, onCancel: () => void): Timer {
    const timer = {
      cancel: () => {
        onCancel()
        inner.cancel()
        this.#timers.delete(timer)
      }
    }
    if (this.isDead) timer.cancel()
    else this.#timers.add(timer)
    return timer
  }
}
