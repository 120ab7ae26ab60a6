import type { Clock, Timer } from '../../../lib/base/clock.js'

interface Due { readonly at: number, readonly everyMs: number | undefined, readonly run: () => void, isCancelled: boolean }

/** A virtual clock that can jump to its next timer, so that a quiet minute costs little. */
export class WorldClock implements Clock {
  readonly #startMs: number
  #elapsed = 0
  /** Sorted by time, equal times in the order of creation. */
  #timers: Due[] = []

  constructor (startMs: number) {
    this.#startMs = startMs
  }

  now (): number { return Math.floor(this.#startMs + this.#elapsed) }

  monotonic (): number { return this.#elapsed }

  after (ms: number, run: () => void): Timer { return this.#add(ms, undefined, run) }

  every (ms: number, run: () => void): Timer { return this.#add(ms, ms, run) }

  /** Lets the time pass up to the next timer, but not beyond `end`, and fires all that are due. Returns whether `end` is reached. */
  step (end: number): boolean {
    const next = this.#timers.find(({ isCancelled }) => !isCancelled)
    this.#elapsed = next === undefined || next.at > end ? end : Math.max(this.#elapsed, next.at)
    while (this.#timers.length > 0 && this.#timers[0]!.at <= this.#elapsed) this.#fire(this.#timers.shift()!)
    return this.#elapsed >= end
  }

  #add (ms: number, everyMs: number | undefined, run: () => void, from = this.#elapsed): Timer {
    const due: Due = { at: from + ms, everyMs, run, isCancelled: false }
    return this.#insert(due)
  }

  #insert (due: Due): Timer {
    let low = 0
    let high = this.#timers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#timers[middle]!.at <= due.at) low = middle + 1
      else high = middle
    }
    this.#timers.splice(low, 0, due)
    return { cancel: () => { due.isCancelled = true } }
  }

  #fire (due: Due): void {
    if (due.isCancelled) return
    if (due.everyMs !== undefined) this.#again(due, due.everyMs)
    due.run()
  }

  // The same object, so that the timer can be cancelled after any round.
  #again (due: Due, everyMs: number): void {
    const moved = due as { at: number }
    moved.at += everyMs
    this.#insert(due)
  }
}
