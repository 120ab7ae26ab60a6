import { LOGGED_CHANNELS, type ChannelName } from '../../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { Cursor } from '../../../schemas/messages/envelope.js'
import type { GapCause, ServerMessages, SubscriptionOutcome } from '../../../schemas/messages/server-messages.js'
import type { Connection } from '../connections/connection.js'
import type { Envelope } from '../wire/envelope.js'
import type { Latest } from '../history/latest-values.js'
import type { Log } from '../history/message-log.js'
import type { Message } from '../wire/message.js'
import type { Recovery } from '../history/snapshots.js'
import type { Subscriptions } from './subscriptions.js'

/** What a client asks for when it subscribes to a channel. */
export interface Wish {
  since: Cursor | undefined
  filter: SubscriptionFilter | undefined
  /** Whether it wants the present state also where nothing is missing. */
  needsState: boolean
  replyTo: string | undefined
}

export interface HandOverSetup {
  envelope: Envelope
  log: Log
  latest: Latest
  recovery: Recovery
  subscriptions: Subscriptions
  fits: (message: Message, filter: SubscriptionFilter | undefined) => boolean
  /** Whether a client may have what it missed of a channel. */
  mayReplay: (connection: Connection, channel: ChannelName) => boolean
  onOutcome: (outcome: SubscriptionOutcome, cause: GapCause | undefined) => void
}

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/**
 * The way of a new subscriber into a channel: the ack, which says how it goes, then what was missed or the present state, then what
 * is published from now on. One step: nothing of the channel is left out between them, and nothing comes twice.
 */
export class HandOver {
  readonly #setup: HandOverSetup

  constructor (setup: HandOverSetup) {
    this.#setup = setup
  }

  /** To be called right after the connection joined the channel. */
  begin (connection: Connection, channel: ChannelName, wish: Wish): void {
    if (!LOGGED.has(channel)) return this.#beginUnlogged(connection, channel, wish)
    const cause = wish.since === undefined ? undefined : this.#judge(connection, channel, wish.since)
    if (wish.since !== undefined && cause === undefined) this.#resume(connection, channel, wish, wish.since)
    else this.#start(connection, channel, wish, cause)
  }

  #beginUnlogged (connection: Connection, channel: ChannelName, { replyTo }: Wish): void {
    const { subscriptions, envelope } = this.#setup
    connection.wanted.set(channel, { number: 0, offset: 0 })
    const messages = subscriptions.channel(channel).snapshot().map((payload) => envelope.message(channel, { payload } as never, { traits: { channel } }))
    this.#acknowledge(connection, { channel, outcome: 'fresh', messages: messages.length }, replyTo)
    for (const message of messages) connection.outbox.send(message)
  }

  // What a client says of itself is believed of nothing: all three parts of its cursor must fit.
  #judge (connection: Connection, channel: ChannelName, { epoch, offset, id }: Cursor): GapCause | undefined {
    const { log, mayReplay } = this.#setup
    if (!mayReplay(connection, channel)) return 'not_authorised'
    if (epoch !== log.epoch) return 'epoch_changed'
    if (offset < log.trimmed(channel).offset) return 'trimmed'
    return log.idAt(channel, offset) === id ? undefined : 'mismatch'
  }

  #resume (connection: Connection, channel: ChannelName, { filter, needsState, replyTo }: Wish, { offset }: Cursor): void {
    const { log, recovery, fits } = this.#setup
    const start = { number: log.numberAfter(channel, offset), offset: offset + 1 }
    const asOf = { ...log.cursor(channel), ...recovery.digestNow(channel, filter) }
    const states = needsState ? recovery.snapshot(channel, { filter, after: log.head(channel), notBefore: 'now' }).messages : []
    let messages = states.length
    for (const message of log.from(channel, start.number)) if (fits(message, filter)) messages++
    connection.wanted.set(channel, { ...start, filter })
    this.#acknowledge(connection, { channel, outcome: 'resumed', asOf, messages }, replyTo)
    connection.outbox.follow(channel, { start, lacking: start.offset, messages: states })
    this.#sendLatest(connection, channel, filter, 0)
  }

  #start (connection: Connection, channel: ChannelName, { since, filter, replyTo }: Wish, cause: GapCause | undefined): void {
    const { recovery, log, mayReplay } = this.#setup
    // Of this process those endings are not known to it that came after its offset; of a cursor that says nothing of it, none is, also those
    // from before the first message.
    const isKnown = cause === 'trimmed'
    const missed = cause === undefined ? undefined : isKnown ? since!.offset : -1
    const after = mayReplay(connection, channel) ? missed : log.head(channel)
    const { messages, asOf, made, number, offset } = recovery.snapshot(channel, { filter, after, notBefore: 0 })
    const lacking = after === undefined ? offset + 1 : after + 1
    const range = isKnown && { range: { epoch: log.epoch, from: lacking, to: offset } }
    connection.wanted.set(channel, { number, offset: lacking, filter })
    this.#acknowledge(connection, {
      channel,
      outcome: cause === undefined ? 'fresh' : 'gap',
      ...(cause !== undefined && { gap: { cause, ...range } }),
      asOf,
      messages: messages.length
    }, replyTo)
    connection.outbox.follow(channel, { start: { number, offset: offset + 1 }, lacking, messages })
    this.#sendLatest(connection, channel, filter, made)
  }

  #acknowledge (connection: Connection, ack: Omit<Ack, 'status'> & { outcome: SubscriptionOutcome }, replyTo: string | undefined): void {
    this.#setup.onOutcome(ack.outcome, ack.gap?.cause)
    acknowledge(this.#setup.envelope, connection, { ...ack, status: 'subscribed' }, replyTo)
  }

  // States that replace each other are not in the log; the newest may be newer than what was sent just now.
  #sendLatest (connection: Connection, channel: ChannelName, filter: SubscriptionFilter | undefined, made: number): void {
    const { latest, fits } = this.#setup
    for (const message of latest.of(channel)) if (message.made >= made && fits(message, filter)) connection.outbox.send(message)
  }
}

type Ack = ServerMessages['subscription_ack']['payload']

/** Answers a `subscribe` or `unsubscribe` for one channel. */
export function acknowledge (envelope: Envelope, connection: Connection, payload: Ack, replyTo: string | undefined): void {
  connection.outbox.send(envelope.message('subscription_ack', { payload }, { replyTo }))
}
