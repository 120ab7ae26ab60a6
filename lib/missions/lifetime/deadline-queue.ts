import { AsyncResource } from 'node:async_hooks'
import type { Clock, Timer } from '../../base/clock.js'

/** A callback that runs once, at a given time, unless it is cancelled. */
export interface Deadline {
  /** When it is due, in ms of the monotonic clock. */
  readonly at: number
  cancel (): void
}

// One object serves the heap and the caller: every mission has at least one.
class Entry implements Deadline {
  readonly at: number
  readonly run: () => void
  readonly #remove: (entry: Entry) => void
  /** Index in the heap, or -1. */
  index = -1

  constructor (at: number, run: () => void, remove: (entry: Entry) => void) {
    this.at = at
    this.run = run
    this.#remove = remove
  }

  cancel (): void {
    this.#remove(this)
  }
}

/**
 * The deadlines of all missions on one shared timer: a heap ordered by time. Equal times fire in no particular order.
 * Nothing fires after `close`.
 */
export class DeadlineQueue {
  readonly #clock: Clock
  readonly #heap: Entry[] = []
  // The timer is shared: without this, it would run in the async context of the mission that happened to set it.
  readonly #fire = AsyncResource.bind(() => this.#run())
  #isClosed = false
  #timer: Timer | undefined
  #timerAt = Infinity

  constructor (clock: Clock) {
    this.#clock = clock
  }

  after (ms: number, run: () => void): Deadline {
    const entry = new Entry(this.#clock.monotonic() + ms, run, this.#remove)
    if (!this.#isClosed) this.#add(entry)
    return entry
  }

  close (): void {
    this.#isClosed = true
    for (const entry of this.#heap) entry.index = -1
    this.#heap.length = 0
    this.#arm()
  }

  #run (): void {
    this.#timerAt = Infinity
    const now = this.#clock.monotonic()
    while (this.#heap.length > 0 && this.#heap[0]!.at <= now) {
      const entry = this.#heap[0]!
      this.#remove(entry)
      entry.run()
    }
    this.#arm()
  }

  // The timer is replaced only when the earliest deadline moves forward; a timer that fires too early checks again.
  #arm (): void {
    const earliest = this.#heap[0]?.at ?? Infinity
    if (earliest >= this.#timerAt && earliest !== Infinity) return
    this.#timer?.cancel()
    this.#timerAt = earliest
    if (earliest === Infinity) return
    // Node's timers round down to whole ms. Rounding up keeps the timer from firing before the deadline.
    this.#timer = this.#clock.after(Math.max(0, Math.ceil(earliest - this.#clock.monotonic())), () => this.#fire())
  }

  #add (entry: Entry): void {
    entry.index = this.#heap.length
    this.#heap.push(entry)
    this.#rise(entry)
    this.#arm()
  }

  readonly #remove = (entry: Entry): void => {
    const { index } = entry
    if (index < 0) return
    entry.index = -1
    const last = this.#heap.pop()!
    if (this.#heap.length === 0) this.#arm()
    if (last === entry) return
    this.#heap[index] = last
    last.index = index
    this.#rise(last)
    this.#sink(last)
  }

  #rise (entry: Entry): void {
    while (entry.index > 0) {
      const parent = this.#heap[(entry.index - 1) >> 1]!
      if (parent.at <= entry.at) return
      this.#swap(entry, parent)
    }
  }

  #sink (entry: Entry): void {
    for (;;) {
      const left = this.#heap[2 * entry.index + 1]
      const right = this.#heap[2 * entry.index + 2]
      const child = right !== undefined && right.at < left!.at ? right : left
      if (child === undefined || child.at >= entry.at) return
      this.#swap(child, entry)
    }
  }

  #swap (a: Entry, b: Entry): void {
    [a.index, b.index] = [b.index, a.index]
    this.#heap[a.index] = a
    this.#heap[b.index] = b
  }
}
