import { isTerminal, MISSION_STATUSES, type MissionStatus } from '../../../schemas/mission.js'
import type { MissionDetails } from '../types.js'

/** Why a report was not applied: it contains nothing new, it goes backward, or the mission has ended. */
export type Refusal = 'repeated' | 'backward' | 'terminal'

/** The result of a report. */
export type ReportResult = { readonly applied: true } | { readonly applied: false, readonly reason: Refusal }

const RANK = new Map<string, number>(MISSION_STATUSES.map((status, rank) => [status, rank]))

export const isMissionStatus = (value: unknown): value is MissionStatus => typeof value === 'string' && RANK.has(value)

/**
 * The lifecycle table: returns why a report must be refused, or `undefined`. `current` is `undefined` for a mission
 * without a report, `hasNews` says whether the report has details that are not known yet. Skipping statuses is legal. A
 * repeated status is refused unless it has news. Nothing goes backward, and nothing follows a terminal status.
 */
export function judge (current: MissionStatus | undefined, next: MissionStatus, hasNews: boolean): Refusal | undefined {
  if (current === undefined) return undefined
  if (isTerminal(current)) return 'terminal'
  if (current === next) return hasNews ? undefined : 'repeated'
  return RANK.get(next)! < RANK.get(current)! ? 'backward' : undefined
}

/** Whether a detail is a value of the host. Only such details go through `Payloads`, which cuts and copies them. */
const IS_HOST_VALUE: Readonly<Record<keyof MissionDetails, boolean>> =
  { tasksSummary: true, planningSession: true, error: true, progress: false }

const HOST_VALUES = (Object.keys(IS_HOST_VALUE) as Array<keyof MissionDetails>).filter((name) => IS_HOST_VALUE[name])

/** Whether a report calls serializers or listeners of the host. */
export function runsHostCode (status: MissionStatus, details: MissionDetails): boolean {
  for (const name of HOST_VALUES) if (details[name] !== undefined) return true
  return isTerminal(status)
}
