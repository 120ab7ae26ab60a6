import type { MissionFilter, MissionView } from '../../../schemas/mission.js'
import type { Unsubscribe } from '../../base/events.js'
import type { ListedMission } from '../payload/listed-mission.js'
import { matchesFilter } from './query.js'

/** Which missions to follow: all that match, or the one with this id. */
export type SubscribeFilter = MissionFilter & { id?: string | undefined }

export interface SubscribeDeps {
  missions: () => Iterable<ListedMission>
  read: (id: string) => ListedMission | undefined
  isClosed: () => boolean
  /** Calls `listener` at every change of any mission until the returned function is called. */
  onChanged: (listener: (mission: ListedMission) => void) => Unsubscribe
  onClosed: (listener: () => void) => Unsubscribe
}

/**
 * The missions that a reader has not read yet, in the order of their last change. Their view is taken when it is read.
 */
class Unread {
  readonly #missions = new Set<ListedMission>()
  #isFinished = false
  #wake = () => {}

  put (mission: ListedMission): void {
    if (this.#isFinished) return
    // Removed first, so that it moves to the end, behind what changed before it.
    this.#missions.delete(mission)
    this.#missions.add(mission)
    this.#wake()
  }

  /** No more changes follow. */
  finish (): void {
    this.#isFinished = true
    this.#wake()
  }

  /** The reader has left. */
  drop (): void {
    this.#missions.clear()
    this.finish()
  }

  /** Resolves with the next view, or with `undefined` at the end. */
  async take (): Promise<MissionView | undefined> {
    while (this.#missions.size === 0 && !this.#isFinished) {
      await new Promise<void>((resolve) => { this.#wake = resolve })
    }
    const [next] = this.#missions
    if (next === undefined) return undefined
    this.#missions.delete(next)
    return next.view()
  }
}

/**
 * Follows missions: first those that match now, then the view of each after every change. A slow reader gets only the
 * newest view of a mission, and costs no copies; it always sees an ending, and that a mission no longer matches. Ends
 * when the signal aborts, when the service has closed, and, for one id, with the ending of that mission.
 */
export function subscribeMissions (
  deps: SubscribeDeps, filter: SubscribeFilter, signal?: AbortSignal
): AsyncGenerator<MissionView, void, undefined> {
  const unread = new Unread()
  const views = follow(deps, filter, unread, signal)
  const finish = views.return.bind(views)
  // A generator alone would notice only at the next change that its reader has left.
  views.return = async (value) => {
    unread.drop()
    return await finish(value)
  }
  return views
}

async function * follow (
  deps: SubscribeDeps, { id, ...filter }: SubscribeFilter, unread: Unread, signal: AbortSignal | undefined
): AsyncGenerator<MissionView, void, undefined> {
  const followed = new WeakSet<ListedMission>()
  const look = (mission: ListedMission) => {
    if (id !== undefined && mission.id !== id) return
    const isMatch = matchesFilter(mission, filter)
    // A mission that matched before is emitted once more, so that the reader can remove it.
    if (isMatch || followed.delete(mission)) unread.put(mission)
    if (isMatch) followed.add(mission)
    if (id !== undefined && mission.isTerminal) unread.finish()
  }
  const drop = () => unread.drop()
  const cleanups = [
    deps.onChanged(look),
    deps.onClosed(() => unread.finish()),
    () => signal?.removeEventListener('abort', drop)
  ]
  signal?.addEventListener('abort', drop)
  try {
    for (const mission of id === undefined ? deps.missions() : [deps.read(id) ?? []].flat()) look(mission)
    if (deps.isClosed()) unread.finish()
    if (signal?.aborted === true) drop()
    for (let view = await unread.take(); view !== undefined; view = await unread.take()) yield view
  } finally {
    for (const cleanup of cleanups) cleanup()
  }
}
