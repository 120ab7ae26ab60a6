import { LOGGED_CHANNELS, type ChannelName, type ChannelPayloads } from '../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Clock } from '../base/clock.js'
import type { Channel, Subscriber } from './channel.js'
import type { HubCounters } from './metrics.js'
import type { Envelope } from './wire/envelope.js'
import { HandOver } from './subscriptions/subscribe.js'
import { Latest } from './history/latest-values.js'
import { Log } from './history/message-log.js'
import type { Message } from './wire/message.js'
import type { Permission } from './subscriptions/authorizer.js'
import { Recovery } from './history/snapshots.js'
import { Subscriptions } from './subscriptions/subscriptions.js'
import { Turn } from './delivery/flush-scheduler.js'

export interface PublicationSetup {
  clock: Clock
  options: ResolvedOptions['websocket']
  channels: readonly Channel[]
  envelope: Envelope
  counters: HubCounters
  permission: Permission
}

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/**
 * What is published: one encoding of each message for all who get it, and what is kept of it for those who are slow or away. Its parts are
 * what connections are given to send, to catch up and to come back.
 */
export class Publication {
  readonly log: Log
  readonly recovery: Recovery
  readonly turn: Turn
  readonly subscriptions: Subscriptions
  readonly handOver: HandOver

  readonly #envelope: Envelope
  readonly #latest = new Latest()

  constructor ({ clock, options, channels, envelope, counters, permission }: PublicationSetup) {
    this.#envelope = envelope
    this.log = new Log(clock, { maxMessages: options.logMaxMessages, maxBytes: options.logMaxBytes, maxAgeMs: options.logMaxAgeMs })
    this.turn = new Turn((ms) => counters.fanOut.record(ms))
    this.subscriptions = new Subscriptions({
      clock,
      channels,
      log: this.log,
      keepMs: options.logMaxAgeMs,
      broadcast: (name, payload, only) => this.broadcast(name, payload, only),
      onClose: (name) => {
        this.#latest.clear(name)
        this.recovery.forget(name)
      }
    })
    this.recovery = new Recovery({
      clock,
      envelope,
      log: this.log,
      channel: (name) => this.subscriptions.channel(name),
      onGap: (cause) => counters.gaps.add(cause)
    })
    this.handOver = new HandOver({
      envelope,
      log: this.log,
      latest: this.#latest,
      recovery: this.recovery,
      subscriptions: this.subscriptions,
      fits: this.fits,
      mayReplay: ({ request }, channel) => permission.allows(request, { action: 'replay', channel }),
      onOutcome: (outcome, cause) => {
        counters.outcomes.add(outcome)
        if (cause !== undefined) counters.gaps.add(cause)
      }
    })
  }

  /** Sends a payload to the subscribers of a channel. Gives the offset of a message that must arrive, if anybody hears of it or may later. */
  broadcast<Name extends ChannelName> (name: Name, payload: ChannelPayloads[Name], only?: ReadonlySet<Subscriber>): number | undefined {
    if (!this.subscriptions.isOpen(name)) return undefined
    const { key, forgets, facts } = this.subscriptions.channel(name).delivery(payload)
    const place = key === undefined && only === undefined && LOGGED.has(name) ? this.log.place(name) : undefined
    const message = this.#envelope.message(name, { payload } as never, {
      traits: { channel: name, place, key: key && `${name} ${key}`, forgets: forgets && `${name} ${forgets}`, facts },
      epoch: this.log.epoch
    })
    this.#keep(message)
    for (const { filter, members } of this.subscriptions.groups(name)) {
      if (!this.fits(message, filter)) continue
      if (only === undefined) this.turn.give(message, members)
      else for (const subscriber of members) if (only.has(subscriber)) subscriber.outbox.send(message)
    }
    this.turn.sent(message)
    return place?.offset
  }

  /** Whether a message fits what is wanted of its channel. */
  readonly fits = ({ channel, facts }: Message, filter: SubscriptionFilter | undefined): boolean =>
    filter === undefined || this.subscriptions.channel(channel!).fits!(facts!, filter)

  /** Lets go of what is too old. */
  sweep (): void {
    this.log.trim()
    this.recovery.sweep()
  }

  // For those who are away, and for those who fall behind.
  #keep (message: Message): void {
    const { channel, place, key, forgets } = message
    if (place !== undefined) this.log.append(message, place)
    if (forgets !== undefined) this.#latest.forget(channel!, forgets)
    if (key === undefined || !LOGGED.has(channel!)) return
    this.#latest.set(channel!, key, message)
    this.recovery.moved(channel!, message)
  }
}
