import type { CancelKind, CancelState } from '../../../schemas/mission.js'
import { CancelledError, type CancelRequest } from '../types.js'

/** A cancel request as watchers see it, frozen. */
export function createCancelState (kind: CancelKind, { reason, by }: CancelRequest): CancelState {
  return Object.freeze({ requested: true, kind, reason: reason ?? null, by: by ?? null })
}

/** Aborts a controller, or a new one, with the cancel as the reason. */
export function abortWith (cancel: CancelState, controller = new AbortController()): AbortController {
  controller.abort(new CancelledError(cancel))
  return controller
}
