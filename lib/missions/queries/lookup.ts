import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { CommandContext } from '../commands/handlers.js'
import type { EndedMissions } from '../lifetime/ended-missions.js'
import type { MissionRegistry } from '../registry.js'
import { toUpdate } from '../payload/update.js'

/**
 * Looks up one mission for a client: its state, or how it ended, even after the registry has forgotten it. Returns
 * `undefined` for a mission that is unknown, that is not visible to the client, or whose start is not acknowledged yet.
 */
export function createMissionLookup ({ registry, ended }: { registry: MissionRegistry, ended: EndedMissions }) {
  return (id: string, context: CommandContext): MissionUpdate | undefined => {
    const { commands } = registry
    const mission = registry.find(id)
    if (mission === undefined) return commands.hasVisibilityFilter ? undefined : ended.find(id)?.update
    return registry.isHeld(mission) || !commands.isVisible(mission, context) ? undefined : toUpdate(mission)
  }
}
