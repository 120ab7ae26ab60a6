import { LOGGED_CHANNELS, type ChannelName, type ChannelPayloads } from '../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Clock } from '../base/clock.js'
import type { Channel, Subscriber } from './channel.js'
import type { HubMetrics } from './metrics.js'
import type { Envelope } from './wire/envelope.js'
import { SubscribeFlow } from './subscriptions/subscribe.js'
import { LatestValues } from './history/latest-values.js'
import { MessageLog } from './history/message-log.js'
import type { LoggedMessage, Message } from './wire/message.js'
import type { Authorizer } from './subscriptions/authorizer.js'
import { SnapshotCache } from './history/snapshot-cache.js'
import { Subscriptions } from './subscriptions/subscriptions.js'
import { FlushScheduler } from './delivery/flush-scheduler.js'

export interface BroadcasterDeps {
  clock: Clock
  options: ResolvedOptions['websocket']
  channels: readonly Channel[]
  envelope: Envelope
  metrics: HubMetrics
  authorizer: Authorizer
}

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/**
 * Publishes payloads: encodes each message once for all its receivers, and records what slow and reconnecting clients
 * will need. Owns the subscriptions, the message log and the snapshots, which connections read.
 */
export class Broadcaster {
  readonly log: MessageLog
  readonly snapshots: SnapshotCache
  readonly scheduler: FlushScheduler
  readonly subscriptions: Subscriptions
  readonly subscribeFlow: SubscribeFlow

  readonly #envelope: Envelope
  readonly #latestValues = new LatestValues()

  constructor ({ clock, options, channels, envelope, metrics, authorizer }: BroadcasterDeps) {
    this.#envelope = envelope
    this.log = new MessageLog(clock, options.history)
    this.scheduler = new FlushScheduler((ms) => metrics.fanOut.record(ms))
    this.subscriptions = new Subscriptions({
      clock,
      channels,
      log: this.log,
      keepOpenMs: options.history.maxAgeMs,
      broadcast: (name, payload, only) => this.broadcast(name, payload, only),
      onClose: (name) => {
        this.#latestValues.clear(name)
        this.snapshots.invalidate(name)
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
      latestValues: this.#latestValues,
      snapshots: this.snapshots,
      subscriptions: this.subscriptions,
      fits: this.fits,
      canReplay: ({ request }, channel) => authorizer.allows(request, { action: 'replay', channel }),
      onOutcome: (outcome, cause) => {
        metrics.outcomes.add(outcome)
        if (cause !== undefined) metrics.gaps.add(cause)
      }
    })
  }

  /**
   * Sends a payload to the subscribers of a channel. Returns the offset of a reliable message. Does nothing while the
   * channel is stopped, because then nobody receives the message and nobody can ask for it later.
   */
  broadcast<Name extends ChannelName> (
    name: Name, payload: ChannelPayloads[Name], only?: ReadonlySet<Subscriber>
  ): number | undefined {
    if (!this.subscriptions.isOpen(name)) return undefined
    const { key, supersedes, attributes } = this.subscriptions.channel(name).delivery(payload)
    const isLogged = key === undefined && only === undefined && LOGGED.has(name)
    const position = isLogged ? this.log.nextPosition(name) : undefined
    const message = this.#envelope.message(name, { payload } as never, {
      channel: name,
      position,
      key: key && `${name} ${key}`,
      supersedes: supersedes && `${name} ${supersedes}`,
      attributes,
      epoch: this.log.epoch
    })
    this.#record(message)
    for (const { filter, members } of this.subscriptions.groups(name)) {
      if (!this.fits(message, filter)) continue
      if (only === undefined) this.scheduler.send(message, members)
      else for (const subscriber of members) if (only.has(subscriber)) subscriber.outbox.send(message)
    }
    this.scheduler.countSent(message)
    return position?.offset
  }

  /** Whether a message matches a filter of its channel. */
  readonly fits = ({ channel, attributes }: Message, filter: SubscriptionFilter | undefined): boolean =>
    filter === undefined || this.subscriptions.channel(channel!).fits!(attributes!, filter)

  /** Drops messages and snapshots that are too old. */
  trim (): void {
    this.log.trim()
    this.snapshots.trim()
  }

  // For clients that reconnect and clients that lag.
  #record (message: Message): void {
    const { channel, position, key, supersedes } = message
    if (position !== undefined) this.log.append(message as LoggedMessage)
    if (supersedes !== undefined) this.#latestValues.delete(channel!, supersedes)
    if (key === undefined || !LOGGED.has(channel!)) return
    this.#latestValues.set(channel!, key, message)
    this.snapshots.noteReplaceable(channel!, message)
  }
}
