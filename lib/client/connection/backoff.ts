import type { CLOSE_CODES, CloseReason } from '../../../schemas/messages/close-codes.js'
import type { ClientContext } from '../context.js'
import type { StateCause } from '../types.js'

/** When to connect again: at once, after the usual backoff, after the longest backoff, or not at all. */
export type ReconnectPolicy = 'now' | 'soon' | 'later' | 'never'

type PolicyTable = {
  readonly [Reason in CloseReason as (typeof CLOSE_CODES)[Reason]['code']]: (typeof CLOSE_CODES)[Reason]['reconnect']
}

// Importing CLOSE_CODES would bundle all schemas into the page. The type keeps this copy equal to it.
const POLICIES: PolicyTable = {
  1002: 'never', 1007: 'never', 1008: 'later', 1009: 'never', 1012: 'later', 1013: 'now', 4401: 'now'
}
/** Reasons that share their code with others, after which the client must not connect again. */
const FINAL: readonly string[] = ['too_many_fragments', 'unauthorised'] satisfies CloseReason[]

/** Why the connection was closed and when to connect again. An unknown code counts as a network failure. */
export function readClose (code: number, reason: string): [cause: StateCause, policy: ReconnectPolicy] {
  const policy = FINAL.includes(reason) ? 'never' : POLICIES[code as keyof PolicyTable] ?? 'soon'
  return [reason as CloseReason || `close_${code}`, policy]
}

const LONGEST_MS = 30_000
/** Opening alone is not enough: a service that accepts and drops connections would be retried without pause. */
const STABLE_MS = 60_000

/**
 * Creates a function that returns the delay in ms before the next attempt. The delay is random, between 0 and 1 s for
 * the first attempt, then between 0 and 0.5 s · 2^n, at most 30 s. The whole range is used so that clients that lose
 * their connections together do not reconnect together. A stable connection resets n. A time that the service has
 * asked for takes precedence.
 */
export function createBackoff (context: ClientContext): (policy: ReconnectPolicy) => number {
  const { clock, random } = context
  let attempts = 0
  return (policy) => {
    if (clock.monotonic() - context.openedAt >= STABLE_MS) attempts = 0
    const exponent = policy === 'later' ? Infinity : attempts
    const longestMs = policy === 'now' && !attempts ? 0 : Math.min(LONGEST_MS, 500 * 2 ** Math.max(1, exponent))
    const delayMs = random() * longestMs
    attempts++
    return context.reconnectAt ? Math.max(0, context.reconnectAt - clock.monotonic()) : delayMs
  }
}
