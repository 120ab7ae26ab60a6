import { readList, readSafely } from '../payload/json-copy.js'
import type { CheckedDetails, MissionDetails, ProgressInput } from '../types.js'
import { checkStatus } from './checks.js'
import { readProgress } from './progress.js'

/**
 * A checked copy of the details of a report, without what is absent. Each property of the host's object is read once,
 * so that its getters can neither throw nor change their answer in the middle of a change; one that throws counts as
 * unserializable.
 *
 * @throws FST_MC_UNKNOWN_STATUS
 * @throws FST_MC_INVALID_MISSION for progress that is a function or a symbol
 */
export function readDetails (status: unknown, details: MissionDetails): CheckedDetails {
  checkStatus(status)
  const tasksSummary = readSafely(details, 'tasksSummary')
  const planningSession = readSafely(details, 'planningSession')
  const progress = readProgress(readSafely(details, 'progress') as ProgressInput)
  const error = readSafely(details, 'error')
  const checked: CheckedDetails = {}
  if (tasksSummary !== undefined) checked.tasksSummary = readList(tasksSummary)
  if (planningSession !== undefined) checked.planningSession = planningSession
  if (progress !== undefined) checked.progress = progress
  if (error !== undefined) checked.error = error
  return checked
}
