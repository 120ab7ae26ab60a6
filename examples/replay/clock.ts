import { createVirtualClock, type Clock } from 'fastify-mission-control'

/**
 * The clock of a replay, a virtual one that starts with the trace. It tells when its next timer is due, so that whoever moves it can
 * stop there and let the work that waited for this timer go on; `advance` of a virtual clock alone would fire all the others first,
 * and a mission that was asked to end would be forced to before it had a chance.
 */
export interface TraceClock extends Clock {
  /** The time of the next timer on the monotonic clock, `Infinity` if there is none; a timer that was cancelled may still show. */
  readonly nextDue: number
  /** Moves the clock forward to `monotonicMs` and fires what is due until then. */
  moveTo (monotonicMs: number): void
}

/** Makes a clock that stands at `startMs` (ms since 1970) and whose monotonic time is 0 there. */
export function createTraceClock (startMs: number): TraceClock {
  const clock = createVirtualClock(startMs)
  const dues: number[] = []

  // Kept sorted. Nearly all timers are due within minutes, so that there are never many.
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
 * Resolves when the monotonic time of `clock` has reached `monotonicMs`, which may be `Infinity`.
 *
 * @throws the reason of `signal` as soon as it aborts
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
