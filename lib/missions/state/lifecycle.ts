import { isTerminal, MISSION_STATUSES, type MissionStatus } from '../../../schemas/mission.js'
import type { CheckedDetails } from '../types.js'

/**
 * Why a report was not applied: it contains nothing new, it goes backward, the mission has ended with another status,
 * it is of an earlier attempt, or no mission with this id is known.
 */
export type Refusal = 'repeated' | 'backward' | 'terminal' | 'stale' | 'unknown'

/** The result of a report. */
export type ReportResult = { readonly applied: true } | { readonly applied: false, readonly reason: Refusal }

export const APPLIED: ReportResult = Object.freeze({ applied: true })

const RANK = new Map<string, number>(MISSION_STATUSES.map((status, rank) => [status, rank]))

export const isMissionStatus = (value: unknown): value is MissionStatus => typeof value === 'string' && RANK.has(value)

/**
 * The lifecycle table: returns why a report must be refused, or `undefined`. `current` is `undefined` for a mission
 * without a report, `hasNews` says whether the report has details that are not known yet. Skipping statuses is legal. A
 * repeated status is refused unless it has news. Nothing goes backward, and nothing follows a terminal status; the same
 * ending again is a repetition.
 */
export function judge (current: MissionStatus | undefined, next: MissionStatus, hasNews: boolean): Refusal | undefined {
  if (current === undefined) return undefined
  if (isTerminal(current)) return current === next ? 'repeated' : 'terminal'
  if (current === next) return hasNews ? undefined : 'repeated'
  return isBackward(current, next) ? 'backward' : undefined
}

/** Whether a status comes before the current one in the life of a mission. */
export const isBackward = (current: MissionStatus, next: MissionStatus): boolean =>
  RANK.get(next)! < RANK.get(current)!

/** Whether a detail is a value of the host. Only such details go through `Payloads`, which cuts and copies them. */
const IS_HOST_VALUE: Readonly<Record<keyof CheckedDetails, boolean>> = {
  tasksSummary: true,
  planningSession: true,
  error: true,
  metadata: true,
  progress: false,
  waiting: false,
  cancel: false,
  parentId: false,
  times: false
}

const HOST_VALUES = (Object.keys(IS_HOST_VALUE) as Array<keyof CheckedDetails>).filter((name) => IS_HOST_VALUE[name])

/** Whether a report calls serializers or listeners of the host. */
export function runsHostCode (status: MissionStatus, details: CheckedDetails): boolean {
  for (const name of HOST_VALUES) if (details[name] !== undefined) return true
  return isTerminal(status)
}
