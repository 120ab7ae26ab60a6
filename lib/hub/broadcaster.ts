import type { ChannelName, ChannelPayloads } from '../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { GapCause } from '../../schemas/messages/server-messages.js'
import type { Clock } from '../base/clock.js'
import type { Channel, Placement, PublishOptions } from './channel.js'
import type { HubMetrics } from './metrics.js'
import type { MessageEnvelope } from './wire/envelope.js'
import { SubscribeFlow } from './subscriptions/subscribe.js'
import { MessageLog } from './history/message-log.js'
import type { LoggedMessage, Message } from './wire/message.js'
import type { Connection } from './connections/connection.js'
import type { LogBudget } from './history/log-budget.js'
import { SnapshotCache } from './history/snapshot-cache.js'
import type { ChannelState } from './channel-state.js'
import { Subscriptions } from './subscriptions/subscriptions.js'
import type { FlushScheduler } from './delivery/flush-scheduler.js'

/** What all broadcasters of a hub share. */
export interface SharedBroadcasterDeps {
  clock: Clock
  options: ResolvedOptions['websocket']
  envelope: MessageEnvelope
  metrics: HubMetrics
  scheduler: FlushScheduler
  /** Whether the client may receive messages from before its subscription. */
  canReplay: (connection: Connection, channel: ChannelName) => boolean
  /** The epoch of the shared log, if there is one; `undefined` until it is known. */
  epoch?: (() => string | undefined) | undefined
}

export interface BroadcasterDeps extends SharedBroadcasterDeps {
  channels: readonly Channel[]
  /** What the log may hold together with others. */
  budget?: LogBudget | undefined
  /** Called when a channel has stopped. */
  onIdle?: () => void
}

/**
 * When a shared log has lost its end, the last offsets stand for other messages than those that the client has. The
 * endings among so many of them are sent again.
 */
const REPEATED_OFFSETS = 1_000

/**
 * Publishes payloads to the clients of one scope: encodes each message once for all its receivers, and records the
 * messages that slow and reconnecting clients need. Owns the subscriptions, the message log with its offsets, and the
 * snapshots, which connections read.
 */
export class Broadcaster {
  readonly log: MessageLog
  readonly snapshots: SnapshotCache
  readonly scheduler: FlushScheduler
  readonly subscriptions: Subscriptions
  readonly subscribeFlow: SubscribeFlow

  readonly #clock: Clock
  readonly #envelope: MessageEnvelope

  constructor (deps: BroadcasterDeps) {
    const { clock, options, channels, envelope, metrics, scheduler, canReplay, epoch, budget, onIdle } = deps
    this.#clock = clock
    this.#envelope = envelope
    this.log = new MessageLog({ clock, options: options.history, budget, epoch: epoch?.() })
    this.scheduler = scheduler
    this.subscriptions = new Subscriptions({
      clock,
      channels,
      log: this.log,
      keepOpenMs: options.history.maxAgeMs,
      createPublish: (state) => (payload, published) => this.#publish(state, payload, published),
      onOpen: (state) => this.#begin(state),
      onClose: (name) => {
        this.snapshots.invalidate(name)
        onIdle?.()
      }
    })
    this.snapshots = new SnapshotCache({
      clock,
      envelope,
      log: this.log,
      channel: (name) => this.subscriptions.channel(name),
      onGap: (cause) => metrics.gaps.add(cause)
    })
    this.subscribeFlow = new SubscribeFlow({
      envelope,
      log: this.log,
      snapshots: this.snapshots,
      subscriptions: this.subscriptions,
      fits: this.fits,
      canReplay,
      onOutcome: (outcome, cause) => {
        metrics.outcomes.add(outcome)
        if (cause !== undefined) metrics.gaps.add(cause)
      }
    })
  }

  /** Sends a payload to all subscribers of a channel. Only a channel of a shared log uses its place there. */
  broadcast<Name extends ChannelName> (name: Name, payload: ChannelPayloads[Name], place?: Placement): void {
    const state = this.subscriptions.state(name)
    this.#publish(state, payload, state.channel.origin === undefined ? {} : { place })
  }

  /** Whether a message matches a filter of its channel. */
  readonly fits = ({ channel, attributes }: Message, filter: SubscriptionFilter | undefined): boolean =>
    filter === undefined || this.subscriptions.channel(channel!).fits!(attributes!, filter)

  /**
   * The shared log has begun again, or messages of it are missing: all subscribers of logged channels receive a
   * `subscription_gap` and a snapshot.
   */
  restart (epoch: string, cause: GapCause): void {
    this.log.epoch = epoch
    for (const state of this.subscriptions.openStates()) {
      if (!state.isLogged) continue
      const { name } = state.channel
      state.latestValues.clear()
      this.snapshots.invalidate(name)
      const before = this.log.head(name)
      this.#begin(state)
      const after = Math.min(before, this.log.head(name)) - REPEATED_OFFSETS
      for (const { members } of state.groups.values()) {
        for (const { outbox } of members) outbox.restart(name, { cause, after })
      }
    }
  }

  /** Stops all channels and closes the log: the broadcaster is no longer used. */
  close (): void {
    this.subscriptions.close()
    this.log.close()
  }

  /** Drops messages that are too old, and what is kept for snapshots. */
  trim (): void {
    this.log.trim()
    this.snapshots.trim()
  }

  // Returns the offset of a reliable message. Does nothing while the channel is stopped, because then nobody receives
  // the message and nobody can ask for it later.
  #publish (
    state: ChannelState, payload: ChannelPayloads[ChannelName], { only, place }: PublishOptions = {}
  ): number | undefined {
    if (!state.isOpen) return undefined
    const message = this.#createMessage(state, payload, place, only === undefined)
    const { attributes, position } = message
    if (state.isLogged) this.#record(state, message)
    state.routes.visit(attributes, ({ members }) => {
      if (only === undefined) this.scheduler.send(message, members)
      else for (const subscriber of members) if (only.has(subscriber)) subscriber.outbox.send(message)
    })
    this.scheduler.countSent(message)
    return position?.offset
  }

  #createMessage (
    { channel, isLogged }: ChannelState, payload: ChannelPayloads[ChannelName], place: Placement | undefined,
    isForAll: boolean
  ): Message {
    const { key, supersedes, attributes } = channel.delivery(payload)
    const { name } = channel
    const isReliable = place === undefined ? key === undefined : place.offset !== undefined
    return this.#envelope.message(name, { payload } as never, {
      channel: name,
      position: isLogged && isReliable && isForAll ? this.log.nextPosition(name, place?.offset) : undefined,
      key: isReliable ? undefined : `${name} ${key}`,
      supersedes: supersedes && `${name} ${supersedes}`,
      attributes,
      publishedMs: this.#clock.monotonic(),
      epoch: this.log.epoch,
      id: place?.id,
      at: place?.at,
      payloadText: place?.text
    })
  }

  // Takes over what a shared log holds of a channel.
  #begin (state: ChannelState): void {
    const origin = state.channel.origin?.()
    if (origin === undefined) return
    const { name } = state.channel
    state.begunAt = origin.head.offset
    this.log.begin(name, origin.recent.length === 0
      ? origin.head
      : { offset: origin.recent[0]!.place.offset! - 1, id: '' })
    for (const { payload, place } of origin.recent) {
      this.log.append(this.#createMessage(state, payload, place, true) as LoggedMessage, place.at)
    }
  }

  // For clients that reconnect and clients that lag.
  #record (state: ChannelState, message: Message): void {
    const { position, key, supersedes } = message
    this.snapshots.changed(state.channel.name)
    if (position !== undefined) this.log.append(message as LoggedMessage)
    if (supersedes !== undefined) state.latestValues.delete(supersedes)
    if (key !== undefined) state.latestValues.set(key, message)
  }
}
