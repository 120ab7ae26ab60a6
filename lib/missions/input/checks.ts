import { LONGEST_TIMER_MS } from '../../../schemas/limits.js'
import { MISSION_STATUSES, MissionId, type MissionStatus } from '../../../schemas/mission.js'
import { InvalidMission, UnknownStatus } from '../../base/errors.js'
import { compile, describeFailure, type Validate } from '../../base/validation.js'
import { isMissionStatus } from '../state/lifecycle.js'

const validateId = compile(MissionId)

export function checkId (id: unknown): asserts id is string {
  if (!validateId(id)) throw new InvalidMission('the id must be text of 1 to 256 characters')
  checkWellFormed(id, 'the id')
}

/**
 * Half of a surrogate pair, which is left where an emoji was cut, has no UTF-8: an identifier with it would be another
 * one in the log of several processes, and in a URL.
 *
 * @throws FST_MC_INVALID_MISSION
 */
export function checkWellFormed (text: string | undefined, what: string): void {
  if (text?.isWellFormed() === false) throw new InvalidMission(`${what} must not contain half of a surrogate pair`)
}

/** @throws FST_MC_INVALID_MISSION */
export function checkText (text: unknown, what: string): asserts text is string {
  if (typeof text !== 'string') throw new InvalidMission(`${what} must be text`)
}

/** @throws FST_MC_INVALID_MISSION */
export function checkWork (work: unknown): void {
  if (typeof work !== 'function') throw new InvalidMission('the work must be a function')
}

/** @throws FST_MC_INVALID_MISSION */
export function checkObject (value: unknown, what: string): void {
  if (typeof value !== 'object' || value === null) throw new InvalidMission(`${what} must be an object`)
}

/** @throws FST_MC_UNKNOWN_STATUS */
export function checkStatus (status: unknown): asserts status is MissionStatus {
  if (!isMissionStatus(status)) throw new UnknownStatus(MISSION_STATUSES.join(', '))
}

/**
 * Returns a whole number of ms that Node's timers accept.
 *
 * @throws FST_MC_INVALID_MISSION
 */
export function checkMilliseconds (ms: number, least = 1): number {
  if (!Number.isInteger(ms) || ms < least || ms > LONGEST_TIMER_MS) {
    throw new InvalidMission(`a time must be a whole number of ms from ${least} to ${LONGEST_TIMER_MS}`)
  }
  return ms
}

/** @throws FST_MC_INVALID_MISSION with the properties that are wrong */
export function checkSchema (validate: Validate<unknown>, value: unknown, what = ''): void {
  if (!validate(value)) throw new InvalidMission(what + describeFailure(validate.errors).join('; '))
}
