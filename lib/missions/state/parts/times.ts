import { InvalidTime } from '../../../base/errors.js'
import type { ReportedTimes } from '../../types.js'

/** When a mission was queued and started, in ms since 1970. */
export interface OriginTimes { queuedAt: number | null, startedAt: number }

/** @throws FST_MC_INVALID_TIME if a mission would start before it was queued, or end before it started */
export function checkOrder ({ queuedAt, startedAt }: OriginTimes, endedAt?: number): void {
  if (queuedAt !== null && startedAt < queuedAt) throw new InvalidTime('startedAt is before queuedAt')
  if (endedAt !== undefined && endedAt < startedAt) throw new InvalidTime('endedAt is before startedAt')
}

/**
 * The known times with the reported ones. A start that nobody has reported is that of the registration, and moves if
 * the mission was queued later or has ended before.
 *
 * @throws FST_MC_INVALID_TIME
 */
export function mergeTimes (known: OriginTimes, reported: ReportedTimes, isStartReported: boolean): OriginTimes {
  const queuedAt = reported.queuedAt ?? known.queuedAt
  let startedAt = reported.startedAt ?? known.startedAt
  if (!isStartReported && reported.startedAt === undefined) {
    startedAt = Math.min(Math.max(startedAt, queuedAt ?? startedAt), reported.endedAt ?? Infinity)
  }
  const merged = { queuedAt, startedAt }
  checkOrder(merged, reported.endedAt)
  return merged
}
