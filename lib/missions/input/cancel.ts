import type { CancelRequest } from '../types.js'
import { checkObject, checkText } from './checks.js'

/** @throws FST_MC_INVALID_MISSION for a reason or a requester that is not a string */
export function readCancelRequest (request: CancelRequest): CancelRequest {
  checkObject(request, 'a request to cancel')
  const { reason, by } = request
  if (reason !== undefined) checkText(reason, 'the reason')
  if (by !== undefined) checkText(by, 'by')
  return { reason, by }
}
