import type { Requests } from '../connection/requests.js'
import type { ClientContext } from '../context.js'
import type { ClientError } from '../errors.js'
import type { ClientMissionState } from './mission-map.js'

export interface Lookups {
  add (id: string): void
  /** Forgets the lookups that are not sent yet. */
  clear (): void
}

/** Delay between two requests, so that many lookups do not exceed the rate limit of the service. */
const PACE_MS = 50

/** Looks missions up at the service, one after the other. */
export function createLookups (
  { clock }: ClientContext, ask: Requests['ask'],
  onFound: (mission: ClientMissionState) => void, onUnknown: (id: string) => void
): Lookups {
  const queue = new Set<string>()
  let isAsking = false

  async function askNext (): Promise<void> {
    const [id] = queue
    isAsking = id !== undefined
    if (id === undefined) return
    queue.delete(id)
    try {
      onFound((await ask<'mission_get'>({ type: 'mission_get', missionId: id }))[0].payload)
    } catch (err) {
      // A lost answer is requested again after the next catch-up or heartbeat.
      if ((err as ClientError).reason === 'unknown_mission') onUnknown(id)
    }
    clock.after(PACE_MS, askNext)
  }

  return {
    add (id) {
      queue.add(id)
      if (!isAsking) askNext()
    },
    clear: () => queue.clear()
  }
}
