import { MissionInit } from '../../../schemas/mission.js'
import { InvalidMission } from '../../base/errors.js'
import { compile } from '../../base/validation.js'
import { checkSchema } from './checks.js'

const validateInit = compile(MissionInit)

/**
 * A checked copy of what a mission is started with: a name, or an object.
 *
 * @throws FST_MC_INVALID_MISSION with the property that is wrong
 */
export function readInit (init: string | MissionInit): MissionInit {
  const copy = typeof init === 'string' ? { name: init } : copyOnce(init)
  checkSchema(validateInit, copy)
  return copy as MissionInit
}

// The host's getters run once. What they throw is not part of the error: it may hold internals of the host.
function copyOnce (init: unknown): unknown {
  try {
    return typeof init === 'object' && init !== null ? { ...init } : init
  } catch {
    throw new InvalidMission('a property of it cannot be read')
  }
}
