import { types } from 'node:util'
import type { MissionTime } from '../../../schemas/mission.js'
import { InvalidTime } from '../../base/errors.js'

/** The clocks of two machines differ a little: a time that is ahead by no more than this counts as now. */
const MAX_AHEAD_MS = 1_000

/**
 * A time of the host in whole ms since 1970, at most `now`; `undefined` for `undefined` and `null`.
 *
 * @throws FST_MC_INVALID_TIME for another type, an invalid date, and a time in the future
 */
export function readTime (time: MissionTime | null | undefined, what: string, now: number): number | undefined {
  if (time === undefined || time === null) return undefined
  const ms = types.isDate(time) ? time.getTime() : time
  if (typeof ms !== 'number' || !(ms >= 0)) {
    throw new InvalidTime(`${what} must be a Date or a number of ms since 1970`)
  }
  if (ms > now + MAX_AHEAD_MS) throw new InvalidTime(`${what} is in the future`)
  return Math.floor(Math.min(ms, now))
}
