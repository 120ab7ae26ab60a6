import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { ClientContext } from '../context.js'
import { isTerminalStatus } from './mission-map.js'
import { iterateUpdates, type UpdateIterator } from './update-iterator.js'
import type { Waiters } from './waiters.js'

export interface UpdateIterators {
  iterate (options?: { id?: string }): AsyncIterableIterator<MissionUpdate, undefined>
  push (update: MissionUpdate, isReplaceable: boolean): void
  close (): void
}

/** The iterations of one client. Each starts with the state of the map. */
export function createUpdateIterators (context: ClientContext, { add }: Waiters): UpdateIterators {
  const iterators = new Set<UpdateIterator>()

  function start (iterator: UpdateIterator, id: string | undefined): () => void {
    iterators.add(iterator)
    for (const state of context.missions.states.values()) {
      if (id || !isTerminalStatus(state.status)) iterator.push({ ...state, snapshot: true })
    }
    if (context.closed) iterator.end()
    // A mission that the filter hides ends the iteration too.
    const removeWaiter = id && add(id, { resolve: iterator.push, reject: iterator.end })
    return () => {
      iterators.delete(iterator)
      if (removeWaiter) removeWaiter()
    }
  }

  return {
    iterate: ({ id } = {}) => iterateUpdates(id, (iterator) => start(iterator, id)),
    push (update, isReplaceable) {
      for (const iterator of iterators) iterator.push(update, isReplaceable)
    },
    close () {
      for (const iterator of iterators) iterator.end()
    }
  }
}
