export { Missions, type MissionEvents, type MissionFilter } from './registry.js'
export { Mission, CancelledError, type CancelRequest, type CancelResult, type MissionDetails } from './mission.js'
export type { ReportResult, Refusal } from './lifecycle.js'
export type { Commands, CommandContext, CommandResult, MissionHandlers } from './commands.js'
