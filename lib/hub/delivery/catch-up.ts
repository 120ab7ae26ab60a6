import type { GapCause } from '../../../schemas/messages/server-messages.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { LogPosition, MessageBody } from '../wire/message.js'

/** A subscription of one connection: the position from which messages are sent, and the filter. */
export interface SubscriptionState extends LogPosition { filter?: SubscriptionFilter | undefined }

/** What a subscriber is missing: a snapshot, then the messages of the log from `start` on. */
export interface CatchUp {
  start: LogPosition
  /** The offset of the first message that the client does not know until it has received the snapshot. */
  firstMissingOffset: number
  snapshot: readonly MessageBody[]
}

/** The log of a channel has begun again, for this cause: endings with offsets after `after` may be missing. */
export interface LogRestart { readonly cause: GapCause, readonly after: number }
