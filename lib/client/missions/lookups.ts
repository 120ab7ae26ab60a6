import type { Requests } from '../connection/requests.js'
import type { ClientError } from '../errors.js'
import type { ClientMissionState } from '../types.js'

export interface Lookups {
  add (id: string): void
  /** Forgets the lookups that are not sent yet. */
  clear (): void
}

/** Lookups under way: few, so that a command never waits behind thousands of them. */
const MAX_PENDING = 16

/** Looks missions up at the service, some at a time. */
export function createLookups (
  ask: Requests['ask'], onFound: (mission: ClientMissionState) => void, onUnknown: (id: string) => void
): Lookups {
  const queue = new Set<string>()
  const pending = new Set<string>()

  async function askNext (): Promise<void> {
    if (!queue.size || pending.size >= MAX_PENDING) return
    const [id] = queue as Iterable<string> as [string]
    queue.delete(id)
    pending.add(id)
    try {
      onFound(await ask<'mission_get'>({ type: 'mission_get', missionId: id }))
    } catch (err) {
      const { code, reason } = err as ClientError
      // No mission has an id that cannot be sent. A lost answer is requested again after a catch-up or a heartbeat.
      if (/unknown_mission|invalid|too_large/i.test(reason ?? code)) onUnknown(id)
    }
    pending.delete(id)
    askNext()
  }

  return {
    add (id) {
      if (pending.has(id)) return
      queue.add(id)
      askNext()
    },
    clear: () => queue.clear()
  }
}
