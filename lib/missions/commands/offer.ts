import type { Caller } from './caller.js'
import type { CheckedHandlers } from './handlers.js'

/** What one client may send. */
export interface CommandOffer {
  capabilities: string[]
  /** JSON Schema of the params of `/mission {json}`; absent without one. */
  startSchema?: Record<string, unknown>
  /** How long work may take to end after a cancel; absent if the client may not cancel. */
  cancelGraceMs?: number
}

/** A larger schema is not sent: every answer to `whoami` contains it. */
const MAX_SCHEMA_BYTES = 8_192

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

/** A copy of a schema as JSON; `undefined` if it is too large, or is no JSON object. */
export function toStartSchema (schema: object): Record<string, unknown> | undefined {
  try {
    const text = JSON.stringify(schema)
    if (Buffer.byteLength(text) > MAX_SCHEMA_BYTES) return undefined
    const copy: unknown = JSON.parse(text)
    return typeof copy === 'object' && copy !== null && !Array.isArray(copy) ? { ...copy } : undefined
  } catch {
    // It contains itself, or a value that JSON does not have. It validates all the same.
    return undefined
  }
}
