import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { AbortSignalLike } from '../connection/platform.js'
import type { ClientContext } from '../context.js'
import { ClientError } from '../errors.js'
import { isTerminalStatus } from './mission-map.js'
import { iterateUpdates, type UpdateIterator } from './update-iterator.js'
import type { Waiters } from './waiters.js'

export interface ClientIterateOptions {
  /** Only the updates of this mission, until its end. */
  id?: string
  /** Ends the iteration at once; it rejects with MC_CLIENT_ABORTED. */
  signal?: AbortSignalLike
}

export interface UpdateIterators {
  iterate (options?: ClientIterateOptions): AsyncIterableIterator<MissionUpdate, undefined>
  push (update: MissionUpdate, isReplaceable: boolean): void
  close (): void
}

/** The iterations of one client. Each starts with the state of the map. */
export function createUpdateIterators (context: ClientContext, { add }: Waiters): UpdateIterators {
  const iterators = new Set<UpdateIterator>()

  function start (iterator: UpdateIterator, { id, signal }: ClientIterateOptions): () => void {
    const abort = (): void => iterator.end(new ClientError('ABORTED', id ?? 'missions', signal!.reason), true)
    iterators.add(iterator)
    for (const state of context.missions.states.values()) {
      if (id || !isTerminalStatus(state.status)) iterator.push({ ...state, snapshot: true })
    }
    if (context.closed) iterator.end()
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    // A mission that the filter hides ends the iteration too.
    const removeWaiter = id && add(id, { resolve: iterator.push, reject: iterator.end })
    return () => {
      iterators.delete(iterator)
      if (removeWaiter) removeWaiter()
      signal?.removeEventListener('abort', abort)
    }
  }

  return {
    iterate: (options = {}) => iterateUpdates(options.id, (iterator) => start(iterator, options)),
    push (update, isReplaceable) {
      for (const iterator of iterators) iterator.push(update, isReplaceable)
    },
    close () {
      for (const iterator of iterators) iterator.end()
    }
  }
}
