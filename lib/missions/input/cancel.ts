import { HOST_CANCEL_KINDS, type HostCancelKind } from '../../../schemas/mission.js'
import { InvalidMission } from '../../base/errors.js'
import type { CancelRequest, TextCuts } from '../types.js'
import { checkObject, checkText } from './checks.js'

const MAX_REASON_CHARACTERS = 256
const MAX_BY_CHARACTERS = 128
const MAX_WAITING_CHARACTERS = 256

/** What a report says about a cancel; `null` counts as absent. */
interface Reported { reason?: unknown, by?: unknown, kind?: unknown }

/**
 * A checked copy of a cancel request, its texts cut.
 *
 * @throws FST_MC_INVALID_MISSION for a reason or a requester that is not a string, and for an unknown kind
 */
export function readCancelRequest (request: CancelRequest, cuts: TextCuts): CancelRequest {
  checkObject(request, 'a request to cancel')
  const { reason, by, kind }: Reported = request
  const checked: CancelRequest = {}
  if (isGiven(reason)) checked.reason = cutReason(reason, cuts)
  if (isGiven(by)) {
    checkText(by, 'by')
    checked.by = cuts.cut('by', by, MAX_BY_CHARACTERS)
  }
  if (isGiven(kind)) checked.kind = checkKind(kind)
  return checked
}

/** @throws FST_MC_INVALID_MISSION for a reason that is not a string */
export function cutReason (reason: unknown, cuts: TextCuts): string {
  checkText(reason, 'the reason')
  return cuts.cut('reason', reason, MAX_REASON_CHARACTERS)
}

/** @throws FST_MC_INVALID_MISSION for a reason that is not a string */
export function cutWaiting (reason: unknown, cuts: TextCuts): string {
  checkText(reason, 'the reason')
  return cuts.cut('waiting', reason, MAX_WAITING_CHARACTERS)
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

function checkKind (kind: unknown): HostCancelKind {
  const known = HOST_CANCEL_KINDS.find((one) => one === kind)
  if (known !== undefined) return known
  throw new InvalidMission(`the kind of a cancel must be one of ${HOST_CANCEL_KINDS.join(', ')}`)
}
