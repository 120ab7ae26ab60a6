import { createVirtualClock, type Clock } from 'fastify-mission-control'

/**
 * The virtual clock of a replay, which starts with the trace. It exposes the time of its next timer, so that the replay
 * can stop there and let the work continue that waits for the timer. `advance` of a virtual clock would fire all other
 * timers first, so a cancelled mission would be forced to end before its function can react.
 */
export interface TraceClock extends Clock {
  /** The monotonic time of the next timer, or `Infinity` without one. May be the time of a cancelled timer. */
  readonly nextDue: number
  /** Moves the clock forward to `monotonicMs` and fires all timers until then. */
  moveTo (monotonicMs: number): void
}

/** Creates a clock at `startMs` (ms since 1970), where its monotonic time is 0. */
export function createTraceClock (startMs: number): TraceClock {
  const clock = createVirtualClock(startMs)
  const dues: number[] = []

  // Sorted. Nearly all timers are due within minutes, so the list stays short.
  function note (ms: number): void {
    const due = clock.monotonic() + ms
    let place = dues.length
    while (place > 0 && dues[place - 1]! > due) place--
    dues.splice(place, 0, due)
  }

  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after (ms, run) {
      note(ms)
      return clock.after(ms, run)
    },
    every (ms, run) {
      note(ms)
      return clock.every(ms, () => {
        note(ms)
        run()
      })
    },
    get nextDue () { return dues[0] ?? Infinity },
    moveTo (monotonicMs) {
      clock.advance(monotonicMs - clock.monotonic())
      while (dues.length > 0 && dues[0]! <= clock.monotonic()) dues.shift()
    }
  }
}

/**
 * Resolves when the monotonic time of `clock` reaches `monotonicMs`, which may be `Infinity`.
 *
 * @throws the reason of `signal` when it aborts
 */
export async function sleepUntil (clock: Clock, monotonicMs: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const ms = monotonicMs - clock.monotonic()
  if (ms <= 0) return
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      timer.cancel()
      reject(signal.reason)
    }
    const timer = clock.after(ms, () => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
    signal.addEventListener('abort', stop, { once: true })
  })
}
