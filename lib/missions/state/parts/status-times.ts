import { isTerminal, MISSION_STATUSES, type MissionStatus, type StatusTime } from '../../../../schemas/mission.js'

/**
 * The statuses that an attempt has had before its end, as pairs of a number in `MISSION_STATUSES` and a time in ms
 * since 1970. `undefined` stands for one status since the start, which is all that most missions have.
 */
export type Reached = readonly number[] | undefined

export interface StatusTimesSource {
  readonly reached: Reached
  readonly status: MissionStatus
  readonly statusBeforeEnd: MissionStatus | undefined
  readonly startedAt: number
  readonly endedAt: number | null
}

const numberOf = (status: MissionStatus): number => MISSION_STATUSES.indexOf(status)

/** Adds `next`, which does not end the mission, after `last`. */
export function reach (reached: Reached, last: MissionStatus, next: MissionStatus, now: number): Reached {
  const before = reached ?? [numberOf(last), now]
  return [...before, numberOf(next), Math.max(now, before.at(-1)!)]
}

/** Whether a list from another process is one. */
export const isReached = (list: readonly number[]): boolean =>
  list.length % 2 === 0 && list.every((value, index) => index % 2 === 1 || MISSION_STATUSES[value] !== undefined)

/**
 * Each status that an attempt has had, oldest first. The first one began with the attempt. The host may have reported
 * earlier times than those of its reports, so the others are within the times of the attempt.
 */
export function listStatusTimes (source: StatusTimesSource): StatusTime[] {
  const { reached = [], status, statusBeforeEnd, startedAt, endedAt } = source
  const first = MISSION_STATUSES[reached[0]!] ?? (isTerminal(status) ? statusBeforeEnd : status)
  const times: StatusTime[] = first === undefined ? [] : [{ status: first, at: startedAt }]
  for (let index = 2; index < reached.length; index += 2) {
    const at = Math.min(Math.max(startedAt, reached[index + 1]!), endedAt ?? Infinity)
    times.push({ status: MISSION_STATUSES[reached[index]!]!, at })
  }
  if (endedAt !== null) times.push({ status, at: endedAt })
  return times
}
