import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { CommandContext, Missions } from '../index.js'
import type { EndedMissions } from '../lifetime/ended-missions.js'
import { toState } from '../../channels/mission-update.js'

/**
 * Looks one mission up for a client: where it is, or how it ended, also after the registry has forgotten it. `undefined` for a mission that
 * is not known, that the client may not see, or of which nothing may be told yet.
 */
export function createMissionFinder ({ missions, endings }: { missions: Missions, endings: EndedMissions }) {
  return (id: string, context: CommandContext): MissionUpdate | undefined => {
    const mission = missions.get(id)
    if (mission === undefined) return missions.commands.hasVisibilityFilter ? undefined : endings.find(id)
    const { commands } = missions
    return commands.isAwaitingAck(mission) || !commands.isVisible(mission, context) ? undefined : toState(mission.view())
  }
}
