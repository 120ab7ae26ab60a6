import type { MissionFilter, MissionView } from '../../../schemas/mission.js'
import { Closing, MissionNotFound, WaitTimeout } from '../../base/errors.js'
import type { Unsubscribe } from '../../base/events.js'
import type { DeadlineQueue } from '../lifetime/deadline-queue.js'
import type { MissionOutcome } from '../types.js'
import type { Mission } from '../mission.js'
import { matchesFilter } from './query.js'

/** Which missions to follow: all that fit, or the one with this id. */
export type SubscribeFilter = MissionFilter & { id?: string | undefined }

/** Options of `waitFor`; without `timeoutMs` it waits as long as the mission lives. */
export interface WaitForOptions { signal?: AbortSignal | undefined, timeoutMs?: number | undefined }

export interface SubscribeDeps {
  deadlines: DeadlineQueue
  missions: () => Iterable<Mission>
  find: (id: string) => Mission | undefined
  isClosed: () => boolean
  /** Calls `listener` at every change of any mission until the returned function is called. */
  onChange: (listener: (mission: Mission) => void) => Unsubscribe
  onClose: (listener: () => void) => Unsubscribe
}

/** What a reader has not read yet: missions in the order of their last change. Their state is that of the moment in which it is read. */
class Unread {
  readonly #missions = new Set<Mission>()
  #isFinished = false
  #wake = () => {}

  put (mission: Mission): void {
    // Taken out first: the newest state waits at the end, behind what changed before it.
    this.#missions.delete(mission)
    this.#missions.add(mission)
    this.#wake()
  }

  /** Nothing more comes. */
  finish (): void {
    this.#isFinished = true
    this.#wake()
  }

  /** Nothing more is wanted. */
  drop (): void {
    this.#missions.clear()
    this.finish()
  }

  /** The next state, when there is one; `undefined` at the end. */
  async take (): Promise<MissionView | undefined> {
    while (this.#missions.size === 0 && !this.#isFinished) await new Promise<void>((resolve) => { this.#wake = resolve })
    const [next] = this.#missions
    if (next === undefined) return undefined
    this.#missions.delete(next)
    return next.view()
  }
}

/**
 * Follows missions: first those that fit now, then each one's state after every change. Of a mission that changes faster than the
 * reader reads, only the newest state is given, so that a slow reader costs no copies; an ending is always seen, and so is that a
 * mission no longer fits. Ends when the signal aborts, when the service has closed, and with the ending of the mission if it follows one id.
 */
export function subscribeMissions (setup: SubscribeDeps, filter: SubscribeFilter, signal?: AbortSignal): AsyncGenerator<MissionView, void, undefined> {
  const unread = new Unread()
  const views = follow(setup, filter, unread, signal)
  const finish = views.return.bind(views)
  // A generator by itself would notice only at the next change that its reader has gone.
  views.return = async (value) => {
    unread.drop()
    return await finish(value)
  }
  return views
}

async function * follow (setup: SubscribeDeps, { id, ...filter }: SubscribeFilter, unread: Unread, signal: AbortSignal | undefined): AsyncGenerator<MissionView, void, undefined> {
  const followed = new WeakSet<Mission>()
  const look = (mission: Mission) => {
    if (id !== undefined && mission.id !== id) return
    const isFitting = matchesFilter(mission, filter)
    // One that fitted before is told once more, so that its reader can take it off.
    if (isFitting || followed.delete(mission)) unread.put(mission)
    if (isFitting) followed.add(mission)
    if (id !== undefined && mission.isTerminal) unread.finish()
  }
  const drop = () => unread.drop()
  const leave = [setup.onChange(look), setup.onClose(() => unread.finish()), () => signal?.removeEventListener('abort', drop)]
  signal?.addEventListener('abort', drop)
  try {
    for (const mission of id === undefined ? setup.missions() : [setup.find(id) ?? []].flat()) look(mission)
    if (setup.isClosed()) unread.finish()
    if (signal?.aborted === true) drop()
    for (let view = await unread.take(); view !== undefined; view = await unread.take()) yield view
  } finally {
    for (const stop of leave) stop()
  }
}

/**
 * Waits for the ending of one mission; one that has ended answers at once.
 *
 * @throws FST_MC_MISSION_NOT_FOUND for an id that is not known (any more), FST_MC_WAIT_TIMEOUT, FST_MC_CLOSING, or the reason of `signal`
 */
export async function waitForMission (setup: SubscribeDeps, id: string, { signal, timeoutMs }: WaitForOptions): Promise<MissionOutcome> {
  signal?.throwIfAborted()
  const mission = setup.find(id)
  if (mission === undefined) throw new MissionNotFound()
  if (mission.outcome !== undefined) return mission.outcome
  if (setup.isClosed()) throw new Closing()
  const leave: Array<() => void> = []
  try {
    return await new Promise<MissionOutcome>((resolve, reject) => {
      // Not a race with `mission.done`: each race would leave a reaction there until the mission ends.
      leave.push(mission.onEnd(resolve), setup.onClose(() => reject(new Closing())))
      if (timeoutMs !== undefined) {
        const timeout = setup.deadlines.after(timeoutMs, () => reject(new WaitTimeout(timeoutMs)))
        leave.push(() => timeout.cancel())
      }
      const abort = () => reject(signal!.reason)
      signal?.addEventListener('abort', abort)
      leave.push(() => signal?.removeEventListener('abort', abort))
    })
  } finally {
    for (const stop of leave) stop()
  }
}
