import { MISSION_STATUSES, TERMINAL_STATUSES, type MissionStatus, type TerminalStatus } from '../../../schemas/mission.js'

/** Why a report was not applied: it says nothing new, it goes back, or the mission has ended. */
export type Refusal = 'repeated' | 'backward' | 'terminal'

/** What became of a report. */
export type ReportResult = { readonly applied: true } | { readonly applied: false, readonly reason: Refusal }

const RANK = new Map<string, number>(MISSION_STATUSES.map((status, rank) => [status, rank]))
const TERMINAL = new Set<string>(TERMINAL_STATUSES)

export const isMissionStatus = (value: unknown): value is MissionStatus => typeof value === 'string' && RANK.has(value)

export const isTerminal = (status: MissionStatus): status is TerminalStatus => TERMINAL.has(status)

/**
 * The lifecycle table. `current` is `undefined` for a mission that was only just registered, `hasNews` tells whether a
 * report of progress differs from the last one. Skips forward are legal, a repeat is not unless it brings new progress,
 * nothing goes back, and nothing follows the first terminal status.
 */
export function judge (current: MissionStatus | undefined, next: MissionStatus, hasNews: boolean): Refusal | undefined {
  if (current === undefined) return undefined
  if (isTerminal(current)) return 'terminal'
  if (current === next) return next === 'execution_progress' && hasNews ? undefined : 'repeated'
  return RANK.get(next)! < RANK.get(current)! ? 'backward' : undefined
}
