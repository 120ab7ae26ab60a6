import type { Caller } from './caller.js'
import type { CheckedHandlers } from './handlers.js'

/** The requests that one client may send. */
export interface CommandOffer {
  capabilities: string[]
  /** JSON Schema of the params of `/mission {json}`; absent without one. */
  startSchema?: Record<string, unknown>
  /** How long work may take to end after a cancel; absent if the client may not cancel. */
  cancelGraceMs?: number
}

/** The commands that have a handler and that the caller may send. */
export function createOffer (handlers: CheckedHandlers, caller: Caller, cancelGraceMs: number): CommandOffer {
  const { start, cancel, startSchema } = handlers
  const mayStart = start !== undefined && caller.may('start')
  const mayCancel = cancel !== undefined && caller.mayCancelAny()
  return {
    capabilities: [...(mayStart ? ['mission_start'] : []), ...(mayCancel ? ['mission_cancel'] : [])],
    ...(mayStart && startSchema !== undefined && { startSchema }),
    ...(mayCancel && { cancelGraceMs })
  }
}
