import type { ChannelName, ChannelPayloads } from '../../schemas/channels/index.js'
import type { ChecksumEntry } from '../../schemas/checksum.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import type { LatencyPart } from '../../schemas/metrics.js'
import type { Viewer } from '../access/viewer.js'

/** How a payload is delivered. */
export interface Delivery {
  /**
   * If present, the payload is replaceable: a newer one with the same key replaces it while it is pending. Else
   * reliable.
   */
  key?: string
  /** The key of a pending payload that this one makes obsolete. */
  supersedes?: string
  /** What the filters of the channel look at; kept with the message. */
  attributes?: object
}

/** What a subscriber asks for; with `viewer`, only what the host lets this viewer see. */
export type Selection = SubscriptionFilter & {
  readonly viewer?: Viewer
  /** For `metrics_tick` only: additional content of its messages. */
  readonly latency?: readonly LatencyPart[]
}

/** A subscriber as a channel sees it: an opaque token. */
export type Subscriber = object

/** Where a message stands in a log that several processes share, so that all of them send the same message. */
export interface Placement {
  readonly id: string
  /** When it was published, in ms since 1970. */
  readonly at: number
  /** `undefined` for a replaceable message. */
  readonly offset: number | undefined
  /** The payload as JSON, if the log has exactly it. */
  readonly text?: string | undefined
}

export interface PublishOptions {
  /** The only subscribers that receive it. */
  only?: ReadonlySet<Subscriber>
  /** Only for a channel with an `origin`; without it, the message gets the next offset. */
  place?: Placement | undefined
}

/**
 * Publishes a payload to the subscribers of the channel. Returns the offset of a reliable payload; `undefined` for a
 * replaceable one, and for one that is published to `only` some.
 */
export type Publish<Name extends ChannelName> = (
  payload: ChannelPayloads[Name], options?: PublishOptions
) => number | undefined

/** What a shared log holds already when a channel starts. */
export interface ChannelOrigin<Name extends ChannelName> {
  readonly head: { readonly offset: number, readonly id: string }
  /** The newest reliable messages, oldest first, up to the head without a hole. */
  readonly recent: ReadonlyArray<{ readonly payload: ChannelPayloads[Name], readonly place: Placement }>
}

/** Which endings a snapshot contains: all after an offset, or a number of the newest ones. */
export type EndingsRange = { readonly after: number } | { readonly newest: number }

/**
 * A channel decides what is published and when.
 *
 * Promises of the hub: `start` is called for the first subscriber, `stop` after the last one has left (for a channel
 * with a log, only when nobody has subscribed for the maximum age of the log); the calls alternate. A stopped channel
 * must cost nothing: no timer, no listener, no computation.
 */
export interface Channel<Name extends ChannelName = ChannelName> {
  readonly name: Name
  delivery (payload: ChannelPayloads[Name]): Delivery
  /** Called before each start, and when the shared log has begun again; `undefined` if there is none. */
  origin? (): ChannelOrigin<Name> | undefined
  /** `head` is the offset of the last message so far. */
  start (publish: Publish<Name>, head: number): void
  stop (): void
  /**
   * The current state. Sent to a new subscriber right after its ack, and to one that missed messages. An object that
   * was returned before is not encoded again, so it must be a new one when its content has changed.
   *
   * A channel may create the payloads one by one, and `undefined` in place of one that does not match the filter: so
   * many states are read in several steps. States that change between two steps are read again.
   */
  snapshot (filter?: Selection): Iterable<ChannelPayloads[Name] | undefined>
  /**
   * The number of states in `snapshot` without a filter. What a connection is handed over of the channel is limited in
   * relation to it; without it there is no limit.
   */
  size? (): number
  /** Drops what was kept to return the same objects again: no snapshot was needed for a while. */
  forgetSnapshot? (): void
  /**
   * States that have ended, which `snapshot` does not contain, with offsets up to `upTo`. An object that was returned
   * before is not encoded again. Those that do not match the filter may be left out.
   */
  endings? (range: EndingsRange, upTo: number, filter?: Selection): ChannelPayloads[Name][]
  /**
   * Routes of a filter, so that not every message is matched with every filter: a message that matches has one of them
   * in `routesTo`. `undefined` if any message may match.
   */
  routesOf? (filter: Selection): readonly string[] | undefined
  routesTo? (attributes: object): readonly string[]
  /** Whether a payload with these attributes matches a filter. */
  fits? (attributes: object, filter: Selection): boolean
  /** The current entries of the checksum: the attributes of all states that have not ended. */
  checksumEntries? (filter?: Selection): ChecksumEntry[]
  /** The checksum entry of a payload with these attributes; `undefined` if it has none. */
  checksumEntry? (attributes: object): ChecksumEntry | undefined
  /** Called after a subscriber was added, and after `start`. */
  joined? (subscriber: Subscriber, filter?: Selection): void
  /** Called after a subscriber was removed. */
  left? (subscriber: Subscriber): void
}
