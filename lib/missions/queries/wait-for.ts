import { Closing, MissionNotFound, WaitTimeout } from '../../base/errors.js'
import type { DeadlineQueue } from '../lifetime/deadline-queue.js'
import type { MissionState } from '../state/mission-state.js'
import type { MissionOutcome } from '../types.js'
import type { SubscribeDeps } from './subscribe.js'

/** Options of `waitFor`; without `timeoutMs` it waits as long as the mission lives. */
export interface WaitForOptions {
  signal?: AbortSignal | undefined
  timeoutMs?: number | undefined
  /** The attempt to wait for; the last one by default. */
  attempt?: number | undefined
}

export interface WaitForDeps extends Pick<SubscribeDeps, 'isClosed' | 'onClosed'> {
  deadlines: DeadlineQueue
  find: (id: string) => MissionState | undefined
}

/**
 * Waits for the ending of one mission; one that has ended is answered at once, an earlier attempt from the history.
 *
 * @throws FST_MC_MISSION_NOT_FOUND for an id that is unknown or no longer kept, FST_MC_WAIT_TIMEOUT, FST_MC_CLOSING,
 * the reason of `signal`
 */
export async function waitForMission (
  deps: WaitForDeps, id: string, { signal, timeoutMs, attempt }: WaitForOptions
): Promise<MissionOutcome> {
  signal?.throwIfAborted()
  const mission = deps.find(id)
  if (mission === undefined) throw new MissionNotFound()
  if (attempt !== undefined && attempt !== mission.attempt) return findAttempt(mission, attempt)
  if (mission.outcome !== undefined) return mission.outcome
  if (deps.isClosed()) throw new Closing()
  const cleanups: Array<() => void> = []
  try {
    return await new Promise<MissionOutcome>((resolve, reject) => {
      // Not a race with `mission.done`: each race would leave a reaction there until the mission ends.
      cleanups.push(mission.onEnd(resolve), deps.onClosed(() => reject(new Closing())))
      if (timeoutMs !== undefined) {
        const timeout = deps.deadlines.after(timeoutMs, () => reject(new WaitTimeout(timeoutMs)))
        cleanups.push(() => timeout.cancel())
      }
      const abort = () => reject(signal!.reason)
      signal?.addEventListener('abort', abort)
      cleanups.push(() => signal?.removeEventListener('abort', abort))
    })
  } finally {
    for (const cleanup of cleanups) cleanup()
  }
}

function findAttempt ({ id, history }: MissionState, attempt: number): MissionOutcome {
  const found = history.attempts.find((one) => one.attempt === attempt)
  if (found === undefined) throw new MissionNotFound()
  const { status, error, cancel, durationMs } = found
  return { id, attempt, status, error, cancel, durationMs }
}
