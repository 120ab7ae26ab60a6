import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import { isEnding, merge } from './mission-map.js'

export interface UpdateIterator {
  push (update: MissionUpdate, isReplaceable?: boolean): void
  /** Nothing more is pushed; what waits can still be read, and `error` after it. */
  end (error?: unknown): void
}

/**
 * Updates for one reader: of all missions, or of one until its ending. Those that may be replaced wait at most once a mission; all others wait
 * until they are read. `start` is called with the first read and gives what is called once at the end.
 */
export async function * follow (id: string | undefined, start: (feed: UpdateIterator) => () => void): AsyncGenerator<MissionUpdate, undefined> {
  const queue: MissionUpdate[] = []
  // The update of each mission that the next one may replace.
  const replaceable = new Map<string, MissionUpdate>()
  let wake = (): void => {}
  let isEnded = false
  let failure: unknown

  const feed: UpdateIterator = {
    push (update, isReplaceable) {
      const { missionId, status } = update
      if (isEnded || (id ?? missionId) !== missionId) return
      const waiting = isReplaceable && replaceable.get(missionId)
      if (waiting) queue[queue.indexOf(waiting)] = update = merge(waiting, update)
      else queue.push(update)
      replaceable.delete(missionId)
      if (isReplaceable) replaceable.set(missionId, update)
      wake()
      if (id && isEnding(status)) feed.end()
    },
    end (error) {
      if (!isEnded) failure = error
      isEnded = true
      wake()
    }
  }

  const stop = start(feed)
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
