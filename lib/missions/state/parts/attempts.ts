import type { AttemptHistory, MissionOutcome } from '../../types.js'

/** Earlier attempts kept of one mission; older ones are only counted. */
const MAX_ATTEMPTS = 10

const NO_ATTEMPTS: AttemptHistory = Object.freeze({ attempts: Object.freeze([]), omitted: 0 })

/** An ended attempt, as the history needs it. */
export interface EndedAttempt {
  readonly outcome: MissionOutcome | undefined
  readonly startedAt: number
  readonly endedAt: number | null
  readonly history: AttemptHistory
}

/** The history of the attempt after `previous`. `ended` is how many attempts have ended, kept here or not. */
export function historyAfter (previous: EndedAttempt | undefined, ended: number): AttemptHistory {
  if (previous === undefined) return ended === 0 ? NO_ATTEMPTS : Object.freeze({ ...NO_ATTEMPTS, omitted: ended })
  const { outcome, startedAt, endedAt, history } = previous
  const { attempt, status, durationMs, error, cancel } = outcome!
  const last = Object.freeze({ attempt, status, startedAt, endedAt: endedAt!, durationMs, error, cancel })
  const attempts = [...history.attempts, last].slice(-MAX_ATTEMPTS)
  const known = Math.max(ended, history.attempts.length + history.omitted + 1)
  return Object.freeze({ attempts, omitted: known - attempts.length })
}
