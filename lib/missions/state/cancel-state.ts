import type { CancelKind, CancelState } from '../../../schemas/mission.js'
import type { CancelRequest } from '../types.js'

/** A cancel request as watchers see it, frozen. */
export function createCancelState (kind: CancelKind, { reason, by }: CancelRequest): CancelState {
  return Object.freeze({ requested: true, kind, reason: reason ?? null, by: by ?? null })
}
