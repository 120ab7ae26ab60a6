import type { CLOSE_CODES, CloseReason } from '../../../schemas/messages/close-codes.js'
import type { StateCause } from '../types.js'

const LONGEST_MS = 30_000
const FIRST_MS = 1_000

/** When to come back: at once, as after any cut, after a while, or not at all. */
export type ReconnectPolicy = 'now' | 'soon' | 'later' | 'never'

type Table = { readonly [Reason in CloseReason as (typeof CLOSE_CODES)[Reason]['code']]: (typeof CLOSE_CODES)[Reason]['reconnect'] }

// The compiler holds it against the table of the protocol; loading that one would bring all schemas along.
const RETURNS: Table = { 1002: 'never', 1007: 'never', 1008: 'later', 1009: 'never', 1012: 'later', 1013: 'now' }

/**
 * The wait before an attempt to connect, in ms: anything up to 1 s before the first (`attempt` 0), then up to 0.5 s · 2^n, at most 30 s.
 * All of the span is drawn from, so that clients cut off together do not come back together. `random` gives 0 to 1.
 */
export function backoffMs (attempt: number, random: () => number): number {
  return random() * Math.min(LONGEST_MS, Math.max(FIRST_MS, 500 * 2 ** attempt))
}

/** Why the connection was closed and when to come back; a code that is not the service's own is a cut. */
export function readClose (code: number, reason: string): [cause: StateCause, comeBack: ReconnectPolicy] {
  const comeBack = reason === 'too_many_fragments' ? 'never' : RETURNS[code as keyof Table] ?? 'soon'
  return [reason as CloseReason || `close_${code}`, comeBack]
}
