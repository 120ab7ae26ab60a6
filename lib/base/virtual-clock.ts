import type { Clock, Timer } from './clock.js'

/** A clock that stands still until it is moved; its timers fire in the order of their time. */
export interface VirtualClock extends Clock {
  /** Moves both clocks forward and fires every timer that falls due on the way. */
  advance (ms: number): void
  /** Moves the wall clock alone, as an operator or NTP does; nothing fires. */
  stepWallClock (ms: number): void
}

interface Entry { at: number, everyMs: number | undefined, run: () => void }

/**
 * A clock for tests and replays that only moves when told to. It starts at `startMs` (ms since 1970).
 * Work that a timer starts with promises runs after `advance` has returned.
 */
export function createVirtualClock (startMs = 0): VirtualClock {
  let elapsed = 0
  let wallOffset = startMs
  const entries: Entry[] = []

  // Kept sorted by time, equal times in the order of their making, so that a long trace costs no search per step.
  function insert (entry: Entry): void {
    let low = 0
    let high = entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (entries[middle]!.at <= entry.at) low = middle + 1
      else high = middle
    }
    entries.splice(low, 0, entry)
  }

  function add (entry: Entry): Timer {
    insert(entry)
    return {
      cancel () {
        const at = entries.indexOf(entry)
        if (at >= 0) entries.splice(at, 1)
        entry.everyMs = undefined
      }
    }
  }

  function fireNext (): void {
    const entry = entries.shift()!
    elapsed = entry.at
    if (entry.everyMs !== undefined) {
      entry.at += entry.everyMs
      insert(entry)
    }
    entry.run()
  }

  return {
    now: () => Math.floor(wallOffset + elapsed),
    monotonic: () => elapsed,
    after: (ms, run) => add({ at: elapsed + ms, everyMs: undefined, run }),
    every: (ms, run) => add({ at: elapsed + ms, everyMs: ms, run }),
    advance (ms) {
      const end = elapsed + ms
      while (entries.length > 0 && entries[0]!.at <= end) fireNext()
      elapsed = end
    },
    stepWallClock (ms) { wallOffset += ms }
  }
}
