import type { AttemptHistory, MissionOutcome } from '../types.js'

/** Earlier attempts kept of one mission; older ones are only counted. */
const MAX_ATTEMPTS = 10

export const NO_ATTEMPTS: AttemptHistory = Object.freeze({ attempts: Object.freeze([]), omitted: 0 })

/** An ended attempt, as the history needs it. */
export interface EndedAttempt {
  readonly outcome: MissionOutcome | undefined
  readonly startedAt: number
  readonly endedAt: number | null
  readonly history: AttemptHistory
}

/** The history of the attempt after this one. */
export function appendAttempt ({ outcome, startedAt, endedAt, history }: EndedAttempt): AttemptHistory {
  const { attempt, status, durationMs, error, cancel } = outcome!
  const ended = Object.freeze({ attempt, status, startedAt, endedAt: endedAt!, durationMs, error, cancel })
  const attempts = [...history.attempts, ended]
  const surplus = Math.max(0, attempts.length - MAX_ATTEMPTS)
  return Object.freeze({ attempts: attempts.slice(surplus), omitted: history.omitted + surplus })
}
