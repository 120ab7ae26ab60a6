import { networkOf } from '../../base/address.js'
import { InvalidHandler } from '../../base/errors.js'
import { callSync } from '../../base/promises.js'
import type { CommandContext, MissionHandlers } from './handlers.js'

/**
 * Who sends a command: the user that `identify` names, else the address of the client. A connection is no principal,
 * because a client can open any number of them.
 *
 * @throws what `identify` throws, and FST_MC_INVALID_HANDLER for a result that is neither text nor undefined
 */
export function principalOf (context: CommandContext, identify: MissionHandlers['identify']): string {
  const identity = identify === undefined ? undefined : callSync(() => identify(context))
  if (identity === undefined) return networkOf(context.request)
  if (typeof identity !== 'string' || identity === '') {
    throw new InvalidHandler('identify must return text or undefined')
  }
  // In quotes, so that it never equals an address.
  return JSON.stringify(identity)
}
