import type { Clock, Timer } from './clock.js'

/** A clock that moves only when `advance` is called. Its timers fire in the order of their time. */
export interface VirtualClock extends Clock {
  /** Moves the wall clock and the monotonic clock forward and fires every timer that becomes due. */
  advance (ms: number): void
  /** Moves only the wall clock, as an operator or NTP does. No timer fires. */
  stepWallClock (ms: number): void
}

interface Entry { at: number, everyMs: number | undefined, run: () => void }

/**
 * A clock for tests and replays. It starts at `startMs` (ms since 1970). Promise callbacks of timers run after
 * `advance` has returned.
 */
export function createVirtualClock (startMs = 0): VirtualClock {
  let elapsed = 0
  let wallOffset = startMs
  const entries: Entry[] = []

  // Sorted by time, equal times in the order of creation, so that no step of a long trace needs a search.
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
