import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { Unsubscribe } from '../events.js'
import type { Channel, Delivery, Publish } from '../hub/channel.js'

/**
 * `mission_update`: every step of every mission. Progress may be replaced by newer progress of the same mission while it
 * waits; any other step must arrive and makes the mission's waiting progress pointless.
 */
export function createMissionUpdateChannel ({ onUpdate }: {
  onUpdate: (listener: (update: MissionUpdate) => void) => Unsubscribe
}): Channel<'mission_update'> {
  let unsubscribe: Unsubscribe | undefined

  return {
    name: 'mission_update',
    delivery ({ missionId, status, cancel }): Delivery {
      const key = `mission_update ${missionId}`
      // The word that a cancel was asked for must not be lost behind progress.
      return status === 'execution_progress' && cancel === undefined ? { key } : { forgets: key }
    },
    start (publish: Publish<'mission_update'>) { unsubscribe = onUpdate(publish) },
    stop () { unsubscribe?.() }
  }
}
