import type { ServerMessages } from '../../../schemas/messages/server-messages.js'
import type { ClientClock } from './platform.js'

export type ServiceLimits = ServerMessages['whoami']['payload']['limits']

/** Limits of a service that does not tell its own. */
export const DEFAULT_LIMITS: ServiceLimits = { maxPayloadBytes: 16_384, maxMessagesPerSecond: 50 }
/** Time in which as many messages are sent as the service accepts in one second. */
const SECOND_MS = 1_200

/** The messages of one connection, counted against the rate limit of the service. */
export interface Pace {
  /** Undefined until the service has sent its limits. */
  limits: ServiceLimits | undefined
  sent: number
  /** Counts this message and returns it. */
  count (text: string): string
  /** Time in ms until the next request may be sent; 0 or less if it may be sent now. */
  waitMs (): number
}

/**
 * A token bucket that is smaller and fills more slowly than that of the service: messages that were delayed on their
 * way for up to a second, and arrive together, still keep to the limit.
 */
export function createPace (clock: ClientClock): Pace {
  let level = 0
  let leveledAt = 0
  const perSecond = (): number => (pace.limits ?? DEFAULT_LIMITS).maxMessagesPerSecond

  function settle (): number {
    const now = clock.monotonic()
    level = Math.max(0, level - (now - leveledAt) * perSecond() / SECOND_MS)
    leveledAt = now
    return level
  }

  const pace: Pace = {
    limits: undefined,
    sent: 0,
    count (text) {
      level = settle() + 1
      pace.sent++
      return text
    },
    waitMs: () => (settle() + 1 - perSecond()) * SECOND_MS / perSecond()
  }
  return pace
}

/** The size of the JSON text as UTF-8. */
export const countBytes = (value: object): number =>
  encodeURIComponent(JSON.stringify(value)).replace(/%../g, ' ').length
