import type { ChannelName, ChannelPayloads } from '../../schemas/channels/index.js'

/** How a payload travels: it must arrive, or a newer one with the same key may replace it while it waits. */
export interface Delivery {
  /** Present: replaceable under this key. Absent: must arrive. */
  key?: string
  /** A key whose waiting message this one makes pointless. */
  forgets?: string
}

/** A subscriber as a channel sees it: a token, nothing to call. */
export type Subscriber = object

/** Where a channel sends its payloads. `only` names the subscribers that get it; absent means all. */
export type Publish<Name extends ChannelName> = (payload: ChannelPayloads[Name], only?: ReadonlySet<Subscriber>) => void

/**
 * What a channel says and when. The hub calls `start` at the first subscriber and `stop` after the last one, so that
 * a channel nobody listens to costs nothing: no timer, no listener, no computation.
 */
export interface Channel<Name extends ChannelName = ChannelName> {
  readonly name: Name
  delivery (payload: ChannelPayloads[Name]): Delivery
  start (publish: Publish<Name>): void
  stop (): void
  /** What a new subscriber gets at once, right after its ack. */
  snapshot (): ChannelPayloads[Name][]
  /** What a subscriber that missed something gets, to know all of the present state; `snapshot` if absent. */
  state? (): ChannelPayloads[Name][]
  /** A new subscriber was added; called after `start`. */
  joined? (subscriber: Subscriber): void
}
