import { MISSION_STATUSES, MissionFilter, MissionId, MissionInit, MissionQuery, Progress, type MissionStatus } from '../../schemas/mission.js'
import { InvalidMission, UnknownStatus } from '../errors.js'
import { compile, describeFailure, type Validate } from '../validation.js'
import { isMissionStatus } from './lifecycle.js'
import type { MissionDetails } from './mission.js'
import { readList, readSafely } from './snapshot.js'

const validateInit = compile(MissionInit)
const validateId = compile(MissionId)
const validateProgress = compile(Progress)
const validateFilter = compile(MissionFilter)
const validateQuery = compile(MissionQuery)

const LONGEST_TIMER_MS = 2_147_483_647

/** What a host starts a mission with, a name or the whole. @throws FST_MC_INVALID_MISSION with the property that is wrong */
export function checkInit (init: string | MissionInit): MissionInit {
  const whole = typeof init === 'string' ? { name: init } : init
  check(validateInit, whole)
  return whole
}

export function checkId (id: unknown): void {
  if (!validateId(id)) throw new InvalidMission('the id must be text of 1 to 128 characters')
}

/** A time in whole ms that Node's timers can keep. */
export function checkMilliseconds (ms: number, least = 1): number {
  if (!Number.isInteger(ms) || ms < least || ms > LONGEST_TIMER_MS) {
    throw new InvalidMission(`a time must be a whole number of ms from ${least} to ${LONGEST_TIMER_MS}`)
  }
  return ms
}

/** @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION */
export function checkFilter (filter: MissionFilter): void {
  if (filter.status !== undefined) checkStatus(filter.status)
  check(validateFilter, filter, 'filter ')
}

/** @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION */
export function checkQuery (query: MissionQuery): void {
  if (query.status !== undefined) checkStatus(query.status)
  check(validateQuery, query, 'query ')
}

/**
 * A checked copy of what a report carries, without what is absent. The host's own object is read once and never again, so that its getters
 * cannot throw or answer differently in the middle of a change.
 *
 * @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION for progress of the wrong shape
 */
export function readDetails (status: unknown, details: MissionDetails): MissionDetails {
  checkStatus(status)
  const tasksSummary = readSafely(() => details?.tasksSummary)
  const planningSession = readSafely(() => details?.planningSession)
  const progress = readSafely(() => details?.progress)
  const error = readSafely(() => details?.error)
  const known: MissionDetails = {}
  if (tasksSummary !== undefined) known.tasksSummary = readList(tasksSummary)
  if (planningSession !== undefined) known.planningSession = planningSession
  if (progress !== undefined) known.progress = readProgress(progress as Progress | null)
  if (error !== undefined) known.error = error
  return known
}

function readProgress (progress: Progress | null): Progress {
  const known = {
    taskId: readSafely(() => progress?.taskId),
    index: readSafely(() => progress?.index),
    total: readSafely(() => progress?.total),
    status: readSafely(() => progress?.status)
  } as Progress
  check(validateProgress, known, 'progress ')
  if (known.index > known.total) throw new InvalidMission('progress index must not be above total')
  return known
}

function checkStatus (status: unknown): asserts status is MissionStatus {
  if (!isMissionStatus(status)) throw new UnknownStatus(MISSION_STATUSES.join(', '))
}

function check (validate: Validate<unknown>, value: unknown, what = ''): void {
  if (!validate(value)) throw new InvalidMission(what + describeFailure(validate.errors).join('; '))
}
