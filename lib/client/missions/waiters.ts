import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { Requests } from '../connection/requests.js'
import type { ClientContext } from '../context.js'
import { ClientError } from '../errors.js'
import { createLookups } from './lookups.js'
import type { ClientMissionState } from '../types.js'
import { isTerminalStatus } from './mission-map.js'

export interface Waiter {
  /** Whether the service has known the mission while this waited. */
  wasSeen?: boolean
  resolve: (mission: ClientMissionState) => void
  reject: (error: ClientError) => void
}

export interface Waiters {
  /** Waits for the end of a mission; resolves at once if it has ended. Returns the function that removes the waiter. */
  add (id: string, waiter: Waiter): () => void
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
 * nothing waits for a mission that does not exist; but not while a channel catches up, when the map lacks missions.
 */
export function createWaiters (context: ClientContext, ask: Requests['ask']): Waiters {
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
    if (!context.isUp || context.subscriptions.some((channel) => channel.remaining)) return
    if (!states.has(id) && !expected.has(id)) lookups.add(id)
  }

  const onCaughtUp = (): void => [...waiters.keys()].forEach(lookUp)
  context.listen('mission_update', (update: MissionUpdate) => onUpdate(states.get(update.missionId) ?? update))
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
      for (const list of waiters.values()) for (const { reject } of list) reject(error)
    }
  }
}
