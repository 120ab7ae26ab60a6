import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { AbortSignalLike } from '../connection/platform.js'
import type { ClientContext } from '../context.js'
import { ClientError } from '../errors.js'
import { isTerminalStatus, merge } from './mission-map.js'
import type { Waiters } from './waiters.js'

export interface ClientIterateOptions {
  /** Only the updates of this mission, until its end. */
  id?: string
  /** Ends the iteration at once; it rejects with MC_CLIENT_ABORTED. */
  signal?: AbortSignalLike
}

interface Queued { update: MissionUpdate, isReplaceable: boolean | undefined }

/**
 * Iterates over the missions of the map, then over updates. The queue holds at most one replaceable update per mission
 * and every other update. It starts with the first read.
 */
export function iterateMissions (
  context: ClientContext, { add }: Waiters, { id, signal }: ClientIterateOptions = {}
): AsyncIterableIterator<MissionUpdate, undefined> {
  const { listen, missions } = context
  const queue: Queued[] = []
  let wake = (): void => {}
  let ended: { error?: unknown } | undefined

  function push (update: MissionUpdate, message?: { position?: unknown }): void {
    const { missionId, status } = update
    if (ended || (id ?? missionId) !== missionId) return
    const isTerminal = isTerminalStatus(status)
    const isReplaceable = message && !message.position && !isTerminal
    const last = isReplaceable && queue.findLast((queued) => queued.update.missionId === missionId)
    if (last && last.isReplaceable) last.update = merge(last.update, update)
    else queue.push({ update, isReplaceable })
    if (id && isTerminal) end()
    wake()
  }

  function end (error?: unknown, isAtOnce?: boolean): void {
    if (isAtOnce) queue.length = 0
    ended ??= { error }
    wake()
  }

  async function * read (): AsyncGenerator<MissionUpdate, undefined> {
    const abort = (): void => end(new ClientError('ABORTED', id ?? 'missions', signal!.reason), true)
    const stops = [listen('mission_update', push), listen('state', () => { if (context.closed) end() })]
    for (const state of missions.states.values()) {
      if (id || !isTerminalStatus(state.status)) push({ ...state, snapshot: true })
    }
    if (context.closed) end()
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    // A mission that the filter hides ends the iteration too.
    if (id) stops.push(add(id, { resolve: push, reject: end }))
    try {
      for (;;) {
        const queued = queue.shift()
        if (queued) yield queued.update
        else if (!ended) await new Promise<void>((resolve) => { wake = resolve })
        else if (ended.error) throw ended.error
        else return undefined
      }
    } finally {
      for (const stop of stops) stop()
      signal?.removeEventListener('abort', abort)
    }
  }

  const updates = read()
  const finish = updates.return.bind(updates)
  // A generator alone would wait for the next update first.
  updates.return = (value) => {
    end(undefined, true)
    return finish(value)
  }
  return updates
}
