import type { TerminalStatus } from '../../../schemas/mission.js'
import type { MissionState } from '../state/mission-state.js'
import type { EndedId } from './ended-ids.js'

/**
 * An attempt to register. `previous` is the attempt before it, if it is still kept; `lastSeq` its last update. `ended`
 * is how many attempts are known to have ended.
 */
export interface Registrable { attempt: number, lastSeq: number, ended: number, previous: MissionState | undefined }

/** What a start or a report of an id means. */
export type Resolution =
  | { action: 'register' } & Registrable
  | { action: 'use', mission: MissionState }
  /** The mission has ended and is no longer kept. */
  | { action: 'ended', status: TerminalStatus }
  /** An earlier attempt than the last one was meant. */
  | { action: 'stale' }

/**
 * Finds out which attempt is meant. `asked` is the number of an attempt, or `next` for the one after an ended one;
 * without it, an id that has ended stays ended.
 */
export function resolveAttempt (
  known: MissionState | undefined, ended: EndedId | undefined, asked: number | 'next' | undefined
): Resolution {
  const last = known ?? ended
  if (last === undefined) return register(typeof asked === 'number' ? asked : 1)
  const { attempt, seq } = last
  const hasEnded = known?.isTerminal !== false
  if (asked === 'next' ? hasEnded : asked !== undefined && asked > attempt) {
    return register(typeof asked === 'number' ? asked : attempt + 1, seq, last.ended, known)
  }
  if (typeof asked === 'number' && asked < attempt) return { action: 'stale' }
  return known === undefined ? { action: 'ended', status: ended!.status } : { action: 'use', mission: known }
}

const register = (attempt: number, lastSeq = 0, ended = 0, previous?: MissionState): Resolution =>
  ({ action: 'register', attempt, lastSeq, ended, previous })
