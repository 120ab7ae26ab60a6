import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { MissionView } from '../../schemas/mission.js'
import type { Unsubscribe } from '../events.js'
import type { Channel, Delivery, Publish } from '../hub/channel.js'

/**
 * `mission_update`: every step of every mission. Progress may be replaced by newer progress of the same mission while it
 * waits; any other step must arrive and makes the mission's waiting progress pointless.
 */
export function createMissionUpdateChannel ({ views, onUpdate }: {
  /** Every mission that is active or kept, oldest first. */
  views: () => MissionView[]
  onUpdate: (listener: (update: MissionUpdate) => void) => Unsubscribe
}): Channel<'mission_update'> {
  let unsubscribe: Unsubscribe | undefined

  return {
    name: 'mission_update',
    delivery (update): Delivery {
      const key = update.missionId
      return isReplaceable(update) ? { key } : { forgets: key }
    },
    start (publish: Publish<'mission_update'>) { unsubscribe = onUpdate(publish) },
    stop () { unsubscribe?.() },
    snapshot: () => [],
    state: () => views().filter(({ seq }) => seq > 0).map(toState)
  }
}

// Progress that also brings what the next progress will not repeat must arrive all the same.
const isReplaceable = ({ status, seq, cancel, stalled, metadata, planningSession, tasksSummary }: MissionUpdate): boolean =>
  status === 'execution_progress' && seq !== 1 && cancel === undefined && stalled === undefined && metadata === undefined &&
  planningSession === undefined && tasksSummary === undefined

const toState = (view: MissionView): MissionUpdate => ({
  missionId: view.id,
  status: view.status,
  name: view.name,
  seq: view.seq,
  ...(view.parentId !== null && { parentId: view.parentId }),
  ...(view.objective !== null && { objective: view.objective }),
  ...(view.metadata !== null && { metadata: view.metadata }),
  ...(view.progress !== null && { progress: view.progress }),
  ...(view.error !== null && { error: view.error }),
  ...(view.cancel !== null && { cancel: view.cancel }),
  ...(view.stalled && { stalled: true as const }),
  ...(view.waiting !== null && { waiting: view.waiting }),
  ...(view.durationMs !== null && { durationMs: view.durationMs }),
  snapshot: true
})
