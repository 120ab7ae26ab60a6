import { Progress } from '../../../schemas/mission.js'
import { InvalidMission } from '../../base/errors.js'
import { compile } from '../../base/validation.js'
import { checkSchema } from './checks.js'

const validateProgress = compile(Progress)

/**
 * A checked copy of a progress.
 *
 * @throws FST_MC_INVALID_MISSION with the property that is wrong
 */
export function readProgress (progress: unknown): Progress {
  const checked = copyProgress(progress)
  checkSchema(validateProgress, checked, 'progress ')
  if (checked.index > checked.total) throw new InvalidMission('progress index must not be above total')
  return checked
}

function copyProgress (progress: unknown): Progress {
  try {
    const { taskId, index, total, status } = progress as Progress
    return { taskId, index, total, status }
  } catch {
    throw new InvalidMission('progress must be an object whose properties can be read')
  }
}
