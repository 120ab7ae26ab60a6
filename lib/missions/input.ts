import { LONGEST_TIMER_MS } from '../../schemas/limits.js'
import {
  MISSION_STATUSES, MissionFilter, MissionId, MissionInit, MissionQuery, Progress, type MissionStatus
} from '../../schemas/mission.js'
import { InvalidMission, UnknownStatus } from '../base/errors.js'
import { compile, describeFailure, type Validate } from '../base/validation.js'
import { isMissionStatus } from './state/lifecycle.js'
import type { CancelRequest, MissionDetails } from './types.js'
import { readList, readSafely } from './payload/json-copy.js'

const validateInit = compile(MissionInit)
const validateId = compile(MissionId)
const validateProgress = compile(Progress)
const validateFilter = compile(MissionFilter)
const validateQuery = compile(MissionQuery)

/**
 * A checked copy of what a mission is started with: a name, or an object.
 *
 * @throws FST_MC_INVALID_MISSION with the property that is wrong
 */
export function checkInit (init: string | MissionInit): MissionInit {
  const copy = typeof init === 'string' ? { name: init } : copyOnce(init)
  check(validateInit, copy)
  return copy as MissionInit
}

export function checkId (id: unknown): void {
  if (!validateId(id)) throw new InvalidMission('the id must be text of 1 to 128 characters')
}

/** @throws FST_MC_INVALID_MISSION for a reason or a requester that is not a string */
export function checkCancelRequest (request: CancelRequest): CancelRequest {
  if (typeof request !== 'object' || request === null) throw new InvalidMission('a request to cancel must be an object')
  const { reason, by } = request
  if (reason !== undefined) checkText(reason, 'the reason')
  if (by !== undefined) checkText(by, 'by')
  return { reason, by }
}

/** @throws FST_MC_INVALID_MISSION */
export function checkReason (reason: unknown): asserts reason is string {
  checkText(reason, 'the reason')
}

/** @throws FST_MC_INVALID_MISSION */
export function checkWork (work: unknown): void {
  if (typeof work !== 'function') throw new InvalidMission('the work must be a function')
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

/** @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION */
export function checkFilter (filter: MissionFilter): void {
  checkObject(filter, 'the filter')
  if (filter.status !== undefined) checkStatus(filter.status)
  check(validateFilter, filter, 'filter ')
}

/** @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION */
export function checkQuery (query: MissionQuery): void {
  checkObject(query, 'the query')
  if (query.status !== undefined) checkStatus(query.status)
  check(validateQuery, query, 'query ')
}

/**
 * A checked copy of the details of a report, without what is absent. Each property of the host's object is read once,
 * so that its getters can neither throw nor change their answer in the middle of a change; one that throws counts as
 * unserializable.
 *
 * @throws FST_MC_UNKNOWN_STATUS
 * @throws FST_MC_INVALID_MISSION for progress of the wrong shape
 */
export function readDetails (status: unknown, details: MissionDetails): MissionDetails {
  checkStatus(status)
  const tasksSummary = readSafely(details, 'tasksSummary')
  const planningSession = readSafely(details, 'planningSession')
  const progress = readSafely(details, 'progress')
  const error = readSafely(details, 'error')
  const checked: MissionDetails = {}
  if (tasksSummary !== undefined) checked.tasksSummary = readList(tasksSummary)
  if (planningSession !== undefined) checked.planningSession = planningSession
  if (progress !== undefined) checked.progress = readProgress(progress)
  if (error !== undefined) checked.error = error
  return checked
}

/**
 * A checked copy of a progress.
 *
 * @throws FST_MC_INVALID_MISSION with the property that is wrong
 */
export function readProgress (progress: unknown): Progress {
  const checked = copyProgress(progress)
  check(validateProgress, checked, 'progress ')
  if (checked.index > checked.total) throw new InvalidMission('progress index must not be above total')
  return checked
}

/** @throws FST_MC_INVALID_MISSION */
export function checkObject (value: unknown, what: string): void {
  if (typeof value !== 'object' || value === null) throw new InvalidMission(`${what} must be an object`)
}

// The host's getters run once. What they throw is not part of the error: it may hold internals of the host.
function copyOnce (init: unknown): unknown {
  try {
    return typeof init === 'object' && init !== null ? { ...init } : init
  } catch {
    throw new InvalidMission('a property of it cannot be read')
  }
}

function copyProgress (progress: unknown): Progress {
  try {
    const { taskId, index, total, status } = progress as Progress
    return { taskId, index, total, status }
  } catch {
    throw new InvalidMission('progress must be an object whose properties can be read')
  }
}

function checkText (text: unknown, what: string): asserts text is string {
  if (typeof text !== 'string') throw new InvalidMission(`${what} must be text`)
}

function checkStatus (status: unknown): asserts status is MissionStatus {
  if (!isMissionStatus(status)) throw new UnknownStatus(MISSION_STATUSES.join(', '))
}

function check (validate: Validate<unknown>, value: unknown, what = ''): void {
  if (!validate(value)) throw new InvalidMission(what + describeFailure(validate.errors).join('; '))
}
