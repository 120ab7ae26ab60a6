export { Missions, type MissionEvents, type MissionList, type MissionsSetup } from './registry.js'
export {
  Mission, CancelledError, type CancelRequest, type CancelResult, type MissionDetails, type MissionLog, type MissionOutcome
} from './mission.js'
export type { ReportResult, Refusal } from './lifecycle.js'
export type { Commands, CommandResult } from './commands.js'
export type { CommandContext, MissionHandlers } from './handlers.js'
export type { MissionWork } from './runner.js'
export type { WaitOptions, WatchFilter } from './watch.js'
