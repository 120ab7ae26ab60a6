import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { Unsubscribe } from '../base/events.js'
import type { ListedMission } from './payload/listed-mission.js'

/** Where an update stands in the log that several processes share. */
export interface UpdatePlace {
  /** The id of the message. */
  readonly id: string
  /** When it was reported, in ms since 1970. */
  readonly at: number
  /** Its offset in the channel; `undefined` for one that is replaceable. */
  readonly offset: number | undefined
  /** The update as JSON, if the log has exactly it. */
  readonly text?: string | undefined
}

/** What the log holds already when a channel starts. */
export interface FeedOrigin {
  readonly head: { readonly offset: number, readonly id: string }
  /** The newest reliable updates, oldest first, up to the head without a hole. */
  readonly recent: ReadonlyArray<{ readonly update: MissionUpdate, readonly place: UpdatePlace }>
}

/** The source of the channel `mission_update`: the missions of this process, or of all. */
export interface MissionFeed {
  /** Calls `listener` with every update; with a tenant, with those of its missions alone. */
  onUpdate (
    listener: (update: MissionUpdate, mission: ListedMission, place?: UpdatePlace) => void, tenant?: string
  ): Unsubscribe
  /** The active missions that clients may know, oldest first; with `ids` only these. */
  visible (tenant?: string, ids?: readonly string[]): ListedMission[]
  find (tenant: string | undefined, id: string): ListedMission | undefined
  /** Only if the offsets are those of a shared log. */
  origin? (tenant: string | undefined): FeedOrigin
}
