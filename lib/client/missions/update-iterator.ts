import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import { isTerminalStatus, merge } from './mission-map.js'

export interface UpdateIterator {
  push (update: MissionUpdate, isReplaceable?: boolean): void
  /** Ends the iteration after the queued updates, or at once, with `error` if there is one. */
  end (error?: unknown, isAtOnce?: boolean): void
}

/**
 * Iterates over the updates of all missions, or of one mission until its end. The queue holds at most one replaceable
 * update per mission and every other update. `start` is called with the first read; it returns a function that is
 * called once at the end.
 */
export function iterateUpdates (
  id: string | undefined, start: (iterator: UpdateIterator) => () => void
): AsyncGenerator<MissionUpdate, undefined> {
  const queue: MissionUpdate[] = []
  // By mission, the queued update that the next one may replace.
  const replaceable = new Map<string, MissionUpdate>()
  let wake = (): void => {}
  let isEnded = false
  let failure: unknown

  const iterator: UpdateIterator = {
    push (update, isReplaceable) {
      const { missionId, status } = update
      if (isEnded || (id ?? missionId) !== missionId) return
      const replaced = isReplaceable && replaceable.get(missionId)
      if (replaced) queue[queue.indexOf(replaced)] = update = merge(replaced, update)
      else queue.push(update)
      replaceable.delete(missionId)
      if (isReplaceable) replaceable.set(missionId, update)
      wake()
      if (id && isTerminalStatus(status)) iterator.end()
    },
    end (error, isAtOnce) {
      if (isAtOnce) queue.length = 0
      if (!isEnded) failure = error
      isEnded = true
      wake()
    }
  }

  async function * read (): AsyncGenerator<MissionUpdate, undefined> {
    const stop = start(iterator)
    try {
      for (;;) {
        const update = queue.shift()
        if (update) {
          if (replaceable.get(update.missionId) === update) replaceable.delete(update.missionId)
          yield update
        } else if (failure) throw failure
        else if (isEnded) return undefined
        else await new Promise<void>((resolve) => { wake = resolve })
      }
    } finally {
      stop()
    }
  }

  const updates = read()
  const finish = updates.return.bind(updates)
  // A generator alone would wait for the next update first.
  updates.return = (value) => {
    iterator.end(undefined, true)
    return finish(value)
  }
  return updates
}
