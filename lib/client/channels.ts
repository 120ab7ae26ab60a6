import type { ChannelName, LoggedChannel } from '../../schemas/channels/index.js'
import type { LatencyPart } from '../../schemas/metrics.js'
import type { MissionStatus, TerminalStatus } from '../../schemas/mission.js'
import type { ClientEvents } from './types.js'

// Importing these lists from the schemas would bundle all schemas into the page.

/** Channels with a message log, so that missed messages can be replayed. */
export const LOGGED = ['health_delta', 'mission_update', 'anomaly_alert'] as const satisfies readonly LoggedChannel[]
export const CHANNELS = [...LOGGED, 'metrics_tick', 'mission_stats'] as const satisfies readonly ChannelName[]
export const TERMINAL = ['completed', 'cancelled', 'error'] as const satisfies readonly TerminalStatus[]
export const STATUSES = [
  'planning_started', 'tasks_generated', 'planned', 'execution_started', 'execution_progress', ...TERMINAL
] as const satisfies readonly MissionStatus[]
export const LATENCY = ['histogram', 'operations'] as const satisfies readonly LatencyPart[]
export const CLIENT_EVENTS = [
  'state', 'gap', 'error', 'lost', 'diverged', 'version'
] as const satisfies ReadonlyArray<keyof ClientEvents>

type Includes<List extends readonly unknown[], All> = [All] extends [List[number]] ? true : false
type Assert<Condition extends true> = Condition
/** Fails to compile when a list lacks a name. */
export type ListsAreComplete = [
  Assert<Includes<typeof LOGGED, LoggedChannel>>, Assert<Includes<typeof CHANNELS, ChannelName>>,
  Assert<Includes<typeof STATUSES, MissionStatus>>, Assert<Includes<typeof TERMINAL, TerminalStatus>>,
  Assert<Includes<typeof LATENCY, LatencyPart>>, Assert<Includes<typeof CLIENT_EVENTS, keyof ClientEvents>>
]
