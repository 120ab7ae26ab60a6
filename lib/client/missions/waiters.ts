import type { Requests } from '../connection/requests.js'
import type { ClientContext } from '../context.js'
import { ClientError } from '../errors.js'
import { createLookups } from './lookups.js'
import { isTerminalStatus, type ClientMissionState } from './mission-map.js'

export interface Waiter {
  /** Whether the service has known the mission while this waited. */
  wasSeen?: boolean
  resolve: (mission: ClientMissionState) => void
  reject: (error: ClientError) => void
}

export interface Waiters {
  /** Waits for the end of a mission; resolves at once if it has ended. Returns the function that removes the waiter. */
  add (id: string, waiter: Waiter): () => void
  /** The newest state of a mission. */
  onUpdate (mission: ClientMissionState): void
  /** The service has accepted the start of this mission. */
  onStarted (id: string): void
  /** Looks up every awaited mission that the map does not hold. */
  onCaughtUp (): void
  /** Enough time has passed for the first update of a started mission. */
  onHeartbeat (): void
  /** The service that knew this mission has been restarted and does not know it any longer. */
  onLost (id: string): void
  onDown (): void
  close (error: ClientError): void
}

/**
 * Calls that wait for the end of a mission. A mission that the map does not hold is looked up at the service, so that
 * nothing waits for a mission that does not exist. `isSettled` returns whether the map holds what the service holds.
 */
export function createWaiters (context: ClientContext, ask: Requests['ask'], isSettled: () => boolean): Waiters {
  const { missions: { states } } = context
  const waiters = new Map<string, Set<Waiter>>()
  // Missions started over this connection whose first update has not arrived: their absence from the map means nothing.
  const expected = new Set<string>()
  // Its first update may have arrived in the meantime.
  const lookups = createLookups(ask, onUpdate, (id) => { if (!states.has(id)) onLost(id) })

  function onLost (id: string): void {
    for (const { wasSeen, reject } of of(id)) reject(new ClientError(wasSeen ? 'LOST' : 'NOT_FOUND', id))
    waiters.delete(id)
  }

  const of = (id: string): Iterable<Waiter> => waiters.get(id) ?? []

  function onUpdate (mission: ClientMissionState): void {
    expected.delete(mission.missionId)
    for (const waiter of of(mission.missionId)) {
      waiter.wasSeen = true
      if (isTerminalStatus(mission.status)) waiter.resolve(mission)
    }
  }

  function lookUp (id: string): void {
    if (isSettled() && !states.has(id) && !expected.has(id)) lookups.add(id)
  }

  const onCaughtUp = (): void => [...waiters.keys()].forEach(lookUp)
  return {
    add (id, waiter) {
      const list = waiters.get(id) ?? new Set()
      const known = states.get(id)
      waiters.set(id, list.add(waiter))
      waiter.wasSeen = expected.has(id)
      if (known) onUpdate(known)
      if (context.closed) waiter.reject(context.closed)
      lookUp(id)
      return () => {
        list.delete(waiter)
        if (!list.size && waiters.get(id) === list) waiters.delete(id)
      }
    },
    onUpdate,
    onStarted (id) { if (!states.has(id)) expected.add(id) },
    onCaughtUp,
    onHeartbeat () {
      onCaughtUp()
      expected.clear()
    },
    onLost,
    onDown () {
      expected.clear()
      lookups.clear()
    },
    close (error) {
      lookups.clear()
      for (const id of waiters.keys()) for (const { reject } of of(id)) reject(error)
    }
  }
}
