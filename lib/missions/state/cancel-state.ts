import type { CancelKind, CancelState } from '../../../schemas/mission.js'
import type { CancelRequest } from '../types.js'
import { cutCharacters } from '../payload/json-copy.js'

const MAX_REASON_CHARACTERS = 256
const MAX_BY_CHARACTERS = 128

export const cutReason = (reason: string): string => cutCharacters(reason, MAX_REASON_CHARACTERS)

/** A cancel request as watchers see it: frozen, its texts cut to their limits. */
export function createCancelState (kind: CancelKind, { reason, by }: CancelRequest): CancelState {
  return Object.freeze({
    requested: true,
    kind,
    reason: reason === undefined ? null : cutReason(reason),
    by: by === undefined ? null : cutCharacters(by, MAX_BY_CHARACTERS)
  })
}
