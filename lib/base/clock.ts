import { randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'

/** A running timer. `cancel` may be called at any time, even from its own callback. */
export interface Timer { cancel (): void }

/**
 * The only source of time of the plugin.
 *
 * `now` is the wall clock in ms since 1970. It may jump and is only used for timestamps. `monotonic` is in ms with
 * fractions and never goes back; durations, throttles and timers use it. Timers never keep the process alive.
 */
export interface Clock {
  now (): number
  monotonic (): number
  after (ms: number, run: () => void): Timer
  every (ms: number, run: () => void): Timer
}

/** The clock of the process. */
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

/**
 * Calls `run` when `ms` have passed on the clock or in real time, whichever is earlier. For closing: it must end even
 * if nobody moves a virtual clock. Unlike other timers, this one keeps the process alive.
 */
export function afterAtMost (clock: Clock, ms: number, run: () => void): Timer {
  const onTime = () => {
    timer.cancel()
    run()
  }
  const virtual = clock.after(ms, onTime)
  const real = setTimeout(onTime, ms)
  const timer = {
    cancel () {
      virtual.cancel()
      clearTimeout(real)
    }
  }
  return timer
}

/** The current time in the two formats of the wire: ISO 8601 in UTC with milliseconds, and ms since 1970. */
export function createUnifiedTimestamp (clock: Clock): { iso: string, unix: number } {
  const unix = clock.now()
  return { iso: new Date(unix).toISOString(), unix }
}

/** A new id such as `mission_3f0c…`: the kind and 122 random bits, so that it cannot be guessed. */
export function createUnifiedId (kind: string): string {
  // V8 keeps a concatenated string as a tree of its parts, which takes ten times the memory; toLowerCase() flattens it.
  return `${kind}_${randomUUID()}`.toLowerCase()
}
