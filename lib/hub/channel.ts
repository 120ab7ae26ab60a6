import type { ChannelName, ChannelPayloads } from '../../schemas/channels/index.js'
import type { ChecksumEntry } from '../../schemas/checksum.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'

/** How a payload travels: it must arrive, or a newer one with the same key may replace it while it waits. */
export interface Delivery {
  /** Present: replaceable under this key. Absent: must arrive. */
  key?: string
  /** A key whose waiting message this one makes pointless. */
  supersedes?: string
  /** What the channel's filters ask of this payload; kept with the message. */
  facts?: object
}

/** A subscriber as a channel sees it: a token, nothing to call. */
export type Subscriber = object

/**
 * Where a channel sends its payloads. `only` names the subscribers that get it; absent means all. Gives the offset of a message that must
 * arrive, `undefined` for one that need not.
 */
export type Publish<Name extends ChannelName> = (payload: ChannelPayloads[Name], only?: ReadonlySet<Subscriber>) => number | undefined

/**
 * What a channel says and when. The hub calls `start` at the first subscriber, and `stop` after the last one, or, where messages are kept for
 * those who come back, when nobody has for long; so that a channel nobody listens to costs nothing: no timer, no listener, no computation.
 */
export interface Channel<Name extends ChannelName = ChannelName> {
  readonly name: Name
  delivery (payload: ChannelPayloads[Name]): Delivery
  /** `head` is the offset of the last message so far. */
  start (publish: Publish<Name>, head: number): void
  stop (): void
  /** The present state, which a new subscriber gets right after its ack, and one that missed something too. */
  snapshot (): ChannelPayloads[Name][]
  /**
   * What is over and may have been missed: with offsets from after `after` up to `upTo`, or, for one who comes for the first time
   * (`undefined`), what is recent. The same payload is the same object each time.
   */
  endings? (after: number | undefined, upTo: number): ChannelPayloads[Name][]
  /** Whether a payload with these facts fits a filter. */
  fits? (facts: object, filter: SubscriptionFilter): boolean
  /** What the checksum is made of now: the facts of the states that are not over. */
  checksumEntries? (): ChecksumEntry[]
  /** What the checksum takes of a payload with these facts; `undefined` if nothing. */
  checksumEntry? (facts: object): ChecksumEntry | undefined
  /** A new subscriber was added; called after `start`. */
  joined? (subscriber: Subscriber): void
  /** A subscriber was taken off. */
  left? (subscriber: Subscriber): void
}
