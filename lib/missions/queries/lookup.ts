import type { MissionSubject } from '../../../schemas/access.js'
import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { Caller } from '../commands/caller.js'
import type { ListedMission } from '../payload/listed-mission.js'
import { toUpdate } from '../payload/update.js'
import type { MissionRegistry } from '../registry.js'
import type { Endings } from '../tenants/endings.js'

/** Tasks of a reply in characters of JSON: ids can be long, and a reply must not be much larger than an update. */
const MAX_TASK_CHARACTERS = 32_768

/**
 * Looks up one mission for a client: its state, or how it ended, even after the registry has forgotten it. Returns
 * `undefined` for a mission that is unknown, that is not visible to the client, or whose start is not acknowledged yet.
 */
export function createMissionLookup ({ registry, endings }: { registry: MissionRegistry, endings: Endings }) {
  return (id: string, caller: Caller): MissionUpdate | undefined => {
    const { tenant } = caller
    const sees = (subject: MissionSubject) => caller.may('see', subject)
    const mission = registry.queries.find(tenant, id)
    if (mission !== undefined) {
      return registry.queries.isHeld(mission) || !sees(mission.subject) ? undefined : toReply(mission, tenant)
    }
    const ended = endings.find(tenant, id)
    return ended === undefined || (ended.subject !== undefined && !sees(ended.subject)) ? undefined : ended.update
  }
}

function toReply (mission: ListedMission, tenant: string | undefined): MissionUpdate {
  const { instance, statusTimes, tasks, tasksOmitted } = mission.view()
  let room = MAX_TASK_CHARACTERS
  const sent = tasks.filter((task) => (room -= JSON.stringify(task).length) >= 0)
  const omitted = tasksOmitted + tasks.length - sent.length
  return {
    ...toUpdate(mission),
    ...(instance !== null && tenant === undefined && { instance }),
    statusTimes,
    ...(sent.length > 0 && { tasks: sent }),
    ...(omitted > 0 && { tasksOmitted: omitted })
  }
}
