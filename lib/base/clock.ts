import { randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'

/** A running timer; `cancel` may be called at any time, also from its own callback. */
export interface Timer { cancel (): void }

/**
 * The only source of time of the plugin.
 *
 * `now` is the wall clock in ms since 1970 and may jump; it is for `timestamp` and `unix` alone. `monotonic` is in ms with
 * fractions and never goes back; every duration, throttle and timer uses it. Timers never keep a process alive.
 */
export interface Clock {
  now (): number
  monotonic (): number
  after (ms: number, run: () => void): Timer
  every (ms: number, run: () => void): Timer
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after (ms, run) {
    const handle = setTimeout(run, ms).unref()
    return { cancel: () => clearTimeout(handle) }
  },
  every (ms, run) {
    const handle = setInterval(run, ms).unref()
    return { cancel: () => clearInterval(handle) }
  }
}

/** The time of `clock` in both forms of the wire: ISO 8601 in UTC with milliseconds, and ms since 1970. */
export function createUnifiedTimestamp (clock: Clock): { iso: string, unix: number } {
  const unix = clock.now()
  return { iso: new Date(unix).toISOString(), unix }
}

/** A new id such as `mission_3f0c…`: 122 random bits behind what it names, so that it can't be guessed. */
export function createUnifiedId (kind: string): string {
  // What is joined from pieces stays a tree of them of ten times the size; a change of case gives it in one piece.
  return `${kind}_${randomUUID()}`.toLowerCase()
}
