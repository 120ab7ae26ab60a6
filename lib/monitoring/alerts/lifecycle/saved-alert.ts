import type { AnomalySeverity } from '../../../../schemas/anomaly.js'
import type { AlertCondition } from '../condition.js'
import { AlertEntry, type AlertTime } from './alert-entry.js'

/** A firing alert; JSON. Times are in ms since 1970. */
export interface SavedAlert {
  alertId: string
  severity: AnomalySeverity
  startsAt: number
  sentAt: number
  peak: number | null
  absentSince?: number | undefined
  namedUpTo?: number | undefined
  isFlapping?: boolean | undefined
  condition: Omit<AlertCondition, 'missions'>
}

/** A firing alert without the parts that the next evaluation reads again. */
export function saveEntry (entry: AlertEntry, { now, at }: AlertTime): SavedAlert {
  const { missions, ...condition } = entry.condition
  const { alertId, severity, startsAt, sentAt, peak, absentSince, namedUpTo, isFlapping } = entry
  const toWall = (monotonic: number) => Math.round(now + monotonic - at)
  return {
    alertId: alertId!,
    severity,
    startsAt,
    sentAt: toWall(sentAt),
    peak,
    ...absentSince !== undefined && { absentSince: toWall(absentSince) },
    ...Number.isFinite(namedUpTo) && { namedUpTo },
    ...isFlapping && { isFlapping },
    condition
  }
}

/** The alert of another process. Its last severity counts as sent. */
export function entryOf (saved: SavedAlert, { now, at }: AlertTime): AlertEntry {
  // The clocks of two processes differ, and nothing can have happened in the future.
  const toMonotonic = (wall: number) => Math.min(at, at + wall - now)
  const entry = new AlertEntry(saved.condition, at)
  const { alertId, severity, startsAt, peak, sentAt, absentSince, namedUpTo = -Infinity, isFlapping = false } = saved
  Object.assign(entry, { alertId, severity, startsAt, peak, namedUpTo, isFlapping, told: severity })
  entry.sentAt = toMonotonic(sentAt)
  if (absentSince !== undefined) entry.absentSince = toMonotonic(absentSince)
  return entry
}
