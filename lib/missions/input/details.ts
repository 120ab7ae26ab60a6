import { isTerminal, type MissionStatus, type MissionTime } from '../../../schemas/mission.js'
import { InvalidMission } from '../../base/errors.js'
import { readList, readSafely, UNSERIALIZABLE } from '../payload/json-copy.js'
import type { CheckedDetails, MissionDetails, ProgressInput, ReportedTimes, TextCuts } from '../types.js'
import { cutWaiting, readCancelRequest } from './cancel.js'
import { checkId, checkStatus } from './checks.js'
import { readProgress } from './progress.js'
import { readTime } from './time.js'

/** What the host passed, each property read once. */
type ReadDetails = { [Name in keyof MissionDetails]: unknown }

/** Details that any value can stand for; one that cannot be read becomes a placeholder. */
const HOST_VALUES: ReadonlySet<string> = new Set(['tasksSummary', 'planningSession', 'error'])
export const DETAIL_NAMES = [
  'tasksSummary', 'planningSession', 'progress', 'error', 'metadata', 'waiting', 'reason', 'by', 'kind', 'parentId',
  'queuedAt', 'startedAt', 'endedAt'
] as const satisfies ReadonlyArray<keyof MissionDetails>

/**
 * A checked copy of the details of a report, without what is absent. Each property of the host's object is read before
 * the mission changes, so that its getters can neither throw nor change their answer in the middle of a change.
 *
 * @throws FST_MC_UNKNOWN_STATUS
 * @throws FST_MC_INVALID_MISSION for a detail of the wrong type
 * @throws FST_MC_INVALID_TIME
 */
export function readDetails (status: unknown, details: MissionDetails, cuts: TextCuts, now: number): CheckedDetails {
  checkStatus(status)
  const read = readOnce(details)
  const checked: CheckedDetails = {}
  if (read.tasksSummary !== undefined) checked.tasksSummary = readList(read.tasksSummary)
  if (read.planningSession !== undefined) checked.planningSession = read.planningSession
  // A mission that fails has an error, whatever its sender knows about it.
  if (isGiven(read.error) || (read.error === null && status === 'error')) checked.error = read.error
  const progress = readProgress(read.progress as ProgressInput, cuts)
  if (progress !== undefined) checked.progress = progress
  if (isGiven(read.metadata)) checked.metadata = checkMetadata(read.metadata)
  if (isGiven(read.waiting)) checked.waiting = cutWaiting(read.waiting, cuts)
  if (isGiven(read.parentId)) checked.parentId = checkParentId(read.parentId)
  if (status === 'cancelled') addCancel(checked, read, cuts)
  addTimes(checked, read, status, now)
  return checked
}

function checkMetadata (metadata: unknown): unknown {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw new InvalidMission('the metadata must be an object')
  }
  return metadata
}

function checkParentId (id: unknown): string {
  checkId(id)
  return id
}

function readOnce (details: MissionDetails): ReadDetails {
  try {
    const {
      tasksSummary, planningSession, progress, error, metadata, waiting, reason, by, kind, parentId, queuedAt,
      startedAt, endedAt
    } = details
    return {
      tasksSummary,
      planningSession,
      progress,
      error,
      metadata,
      waiting,
      reason,
      by,
      kind,
      parentId,
      queuedAt,
      startedAt,
      endedAt
    }
  } catch {
    return Object.fromEntries(DETAIL_NAMES.map((name) => [name, readOrPlaceholder(details, name)]))
  }
}

function readOrPlaceholder (details: MissionDetails, name: string): unknown {
  const value = readSafely(details, name)
  return value === UNSERIALIZABLE && !HOST_VALUES.has(name) ? undefined : value
}

// `null` is how other systems say that they know nothing.
const isGiven = (value: unknown): boolean => value !== undefined && value !== null

function addCancel (checked: CheckedDetails, { reason, by, kind }: ReadDetails, cuts: TextCuts): void {
  if (!isGiven(reason) && !isGiven(by) && !isGiven(kind)) return
  checked.cancel = readCancelRequest({ reason, by, kind } as CheckedDetails['cancel'] & object, cuts)
}

function addTimes (checked: CheckedDetails, read: ReadDetails, status: MissionStatus, now: number): void {
  const { queuedAt, startedAt, endedAt } = read as Record<string, MissionTime | null | undefined>
  if (!isGiven(queuedAt) && !isGiven(startedAt) && !isGiven(endedAt)) return
  const times: ReportedTimes = {
    queuedAt: readTime(queuedAt, 'queuedAt', now),
    startedAt: readTime(startedAt, 'startedAt', now)
  }
  if (isTerminal(status)) times.endedAt = readTime(endedAt, 'endedAt', now)
  checked.times = times
}
