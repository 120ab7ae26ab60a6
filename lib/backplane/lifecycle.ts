import { isTerminal, MISSION_STATUSES, type MissionStatus } from '../../schemas/mission.js'
import type { MissionHeader, MissionLogStep, Verdict } from './contract.js'

const RANK = new Map<MissionStatus, number>(MISSION_STATUSES.map((status, rank) => [status, rank]))

type Known = Pick<MissionHeader, 'tenant' | 'attempt' | 'status' | 'owner' | 'isRun'>
type Judged = Pick<MissionLogStep, 'tenant' | 'attempt' | 'status' | 'isRun' | 'isStart' | 'lostWith'>

/**
 * The lifecycle table of the log: whether a step of `instance` is appended to a mission. `isGone` tells whether an
 * instance is fenced. The rules in their order:
 *
 * 1. Of a mission that is not stored, every step is applied, except that it was lost.
 * 2. A step of another tenant is `stale`.
 * 3. A step of an earlier attempt is `stale`; one of a later attempt is applied.
 * 4. After the end, the same ending is `repeated`, and everything else is `terminal`.
 * 5. A loss is applied if its instance owns the mission, runs it and is gone; otherwise it is `stale`.
 * 6. A mission that ran in an instance that is gone is `lost`.
 * 7. A start with the present status or one before it is `repeated`, unless a function takes over a mission that none
 *    runs yet.
 * 8. A status before the present one is `backward`.
 */
export function decide (
  known: Known | undefined, step: Judged, instance: string, isGone: (instance: string) => boolean
): Verdict {
  const { lostWith } = step
  if (known === undefined) return lostWith === undefined ? 'applied' : 'stale'
  if (step.tenant !== null && known.tenant !== null && step.tenant !== known.tenant) return 'stale'
  if (step.attempt < known.attempt) return 'stale'
  if (step.attempt > known.attempt) return lostWith === undefined ? 'applied' : 'stale'
  if (isTerminal(known.status)) return step.status === known.status ? 'repeated' : 'terminal'
  if (lostWith !== undefined) {
    return known.isRun && known.owner === lostWith && isGone(lostWith) ? 'applied' : 'stale'
  }
  if (known.isRun && known.owner !== instance && isGone(known.owner)) return 'lost'
  const isTakenOver = step.isRun && !known.isRun
  const advance = RANK.get(step.status)! - RANK.get(known.status)!
  if (step.isStart && !isTakenOver && advance <= 0) return 'repeated'
  return advance < 0 ? 'backward' : 'applied'
}

/**
 * The owner of a mission after a step of `instance` was applied. A function that takes a mission over owns it, and so
 * does whoever reports a mission that nobody runs and whose owner is gone.
 */
export function ownerAfter (
  known: Known | undefined, step: Judged, instance: string, isGone: (instance: string) => boolean
): Pick<MissionHeader, 'owner' | 'isRun'> {
  if (known === undefined || step.attempt > known.attempt) return { owner: instance, isRun: step.isRun }
  if (step.isRun && !known.isRun) return { owner: instance, isRun: true }
  const isOrphan = !known.isRun && known.owner !== instance && isGone(known.owner)
  return { owner: isOrphan ? instance : known.owner, isRun: known.isRun }
}
