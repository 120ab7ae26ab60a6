export { createMissions, type MissionEvents, type Missions } from './missions.js'
export { MissionRegistry, type MissionRegistryDeps } from './registry.js'
export type { Mission } from './mission.js'
export {
  CancelledError, type CancelRequest, type CancelResult, type ChildInit, type MissionDetails, type MissionLog,
  type MissionOutcome, type ProgressInput, type ProgressParts, type ReportDetails
} from './types.js'
export type { ReportResult, Refusal } from './state/lifecycle.js'
export type { MissionState } from './state/mission-state.js'
export type { Commands, CommandResult } from './commands/commands.js'
export type { CommandContext, MissionHandlers } from './commands/handlers.js'
export { EndedMissions } from './lifetime/ended-missions.js'
export { createMissionLookup } from './queries/lookup.js'
export type { MissionList } from './queries/query.js'
export type { SubscribeFilter } from './queries/subscribe.js'
export type { WaitForOptions } from './queries/wait-for.js'
export type { MissionWork } from './runner.js'
export { toUpdate, type UpdateSource } from './payload/update.js'
