import type { Entry } from './entry.js'
import type { Mission } from './mission.js'

const HOUR_MS = 3_600_000

/** An error text without the parts that differ between occurrences: numbers, ids, quoted values. */
export const normalizeError = (text: string): string =>
  text
    .replace(/0x[0-9a-f]+|[0-9a-f]{8,}|\d+/gi, '#')
    .replace(/(["'`]).*?\1/g, '…')
    .trim()

/** How many other missions failed with the same error within the last hour. */
export function countRepeats (mission: Mission, entries: Iterable<Entry>, nowMs: number): number {
  if (mission.error === undefined) return 0
  const error = normalizeError(mission.error)
  let count = 0
  for (const { id, mission: other } of entries) {
    const { phase, error: text, errorCode, endedAt = 0 } = other.peek()
    const isRecent = id !== mission.id && phase === 'error' && endedAt > nowMs - HOUR_MS
    if (isRecent && errorCode === mission.errorCode && normalizeError(text ?? '') === error) count++
  }
  return count
}
