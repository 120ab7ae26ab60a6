import type { TerminalStatus } from '../../../schemas/mission.js'
import type { RecentById } from './recent-by-id.js'

/** What is remembered of a mission that has ended and is no longer kept. */
export interface EndedId {
  readonly id: string
  readonly attempt: number
  readonly status: TerminalStatus
  readonly seq: number
  /** How many of its attempts have ended. */
  readonly ended: number
  /** In ms of the monotonic clock. */
  readonly at: number
}

/**
 * The ids of missions that have ended, remembered longer than the missions are kept: a report that is delivered late or
 * twice must not register its mission again.
 */
export type EndedIds = RecentById<EndedId>
