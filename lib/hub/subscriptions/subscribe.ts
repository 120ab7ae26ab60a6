import { LOGGED_CHANNELS, type ChannelName } from '../../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { Cursor } from '../../../schemas/messages/envelope.js'
import type { GapCause, ServerMessages, SubscriptionOutcome } from '../../../schemas/messages/server-messages.js'
import type { Connection } from '../connections/connection.js'
import type { Envelope } from '../wire/envelope.js'
import type { LatestValues } from '../history/latest-values.js'
import type { MessageLog } from '../history/message-log.js'
import type { Message } from '../wire/message.js'
import type { SnapshotCache } from '../history/snapshot-cache.js'
import type { Subscriptions } from './subscriptions.js'

/** What a client asks for when it subscribes to a channel. */
export interface SubscribeRequest {
  since: Cursor | undefined
  filter: SubscriptionFilter | undefined
  /** Whether it wants the present state also where nothing is missing. */
  needsState: boolean
  replyTo: string | undefined
}

export interface SubscribeFlowDeps {
  envelope: Envelope
  log: MessageLog
  latestValues: LatestValues
  snapshots: SnapshotCache
  subscriptions: Subscriptions
  fits: (message: Message, filter: SubscriptionFilter | undefined) => boolean
  /** Whether a client may have what it missed of a channel. */
  canReplay: (connection: Connection, channel: ChannelName) => boolean
  onOutcome: (outcome: SubscriptionOutcome, cause: GapCause | undefined) => void
}

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/**
 * The way of a new subscriber into a channel: the ack, which says how it goes, then what was missed or the present state, then what
 * is published from now on. One step: nothing of the channel is left out between them, and nothing comes twice.
 */
export class SubscribeFlow {
  readonly #deps: SubscribeFlowDeps

  constructor (setup: SubscribeFlowDeps) {
    this.#deps = setup
  }

  /** To be called right after the connection joined the channel. */
  begin (connection: Connection, channel: ChannelName, wish: SubscribeRequest): void {
    if (!LOGGED.has(channel)) return this.#beginUnlogged(connection, channel, wish)
    const cause = wish.since === undefined ? undefined : this.#findGapCause(connection, channel, wish.since)
    if (wish.since !== undefined && cause === undefined) this.#resume(connection, channel, wish, wish.since)
    else this.#start(connection, channel, wish, cause)
  }

  #beginUnlogged (connection: Connection, channel: ChannelName, { replyTo }: SubscribeRequest): void {
    const { subscriptions, envelope } = this.#deps
    connection.subscriptions.set(channel, { sequence: 0, offset: 0 })
    const messages = subscriptions.channel(channel).snapshot().map((payload) => envelope.message(channel, { payload } as never, { traits: { channel } }))
    this.#acknowledge(connection, { channel, outcome: 'fresh', messages: messages.length }, replyTo)
    for (const message of messages) connection.outbox.send(message)
  }

  // What a client says of itself is believed of nothing: all three parts of its cursor must fit.
  #findGapCause (connection: Connection, channel: ChannelName, { epoch, offset, id }: Cursor): GapCause | undefined {
    const { log, canReplay } = this.#deps
    if (!canReplay(connection, channel)) return 'not_authorised'
    if (epoch !== log.epoch) return 'epoch_changed'
    if (offset < log.trimmed(channel).offset) return 'trimmed'
    return log.idAt(channel, offset) === id ? undefined : 'mismatch'
  }

  #resume (connection: Connection, channel: ChannelName, { filter, needsState, replyTo }: SubscribeRequest, { offset }: Cursor): void {
    const { log, snapshots, fits } = this.#deps
    const start = { sequence: log.sequenceAfter(channel, offset), offset: offset + 1 }
    const asOf = { ...log.cursor(channel), ...snapshots.currentChecksum(channel, filter) }
    const states = needsState ? snapshots.snapshot(channel, { filter, after: log.head(channel), notBefore: 'now' }).messages : []
    let messages = states.length
    for (const message of log.from(channel, start.sequence)) if (fits(message, filter)) messages++
    connection.subscriptions.set(channel, { ...start, filter })
    this.#acknowledge(connection, { channel, outcome: 'resumed', asOf, messages }, replyTo)
    connection.outbox.catchUp(channel, { start, firstMissingOffset: start.offset, messages: states })
    this.#sendLatest(connection, channel, filter, 0)
  }

  #start (connection: Connection, channel: ChannelName, { since, filter, replyTo }: SubscribeRequest, cause: GapCause | undefined): void {
    const { snapshots, log, canReplay } = this.#deps
    // Of this process those endings are not known to it that came after its offset; of a cursor that says nothing of it, none is, also those
    // from before the first message.
    const isKnown = cause === 'trimmed'
    const missed = cause === undefined ? undefined : isKnown ? since!.offset : -1
    const after = canReplay(connection, channel) ? missed : log.head(channel)
    const { messages, asOf, createdCount, sequence, offset } = snapshots.snapshot(channel, { filter, after, notBefore: 0 })
    const firstMissingOffset = after === undefined ? offset + 1 : after + 1
    const range = isKnown && { range: { epoch: log.epoch, from: firstMissingOffset, to: offset } }
    connection.subscriptions.set(channel, { sequence, offset: firstMissingOffset, filter })
    this.#acknowledge(connection, {
      channel,
      outcome: cause === undefined ? 'fresh' : 'gap',
      ...(cause !== undefined && { gap: { cause, ...range } }),
      asOf,
      messages: messages.length
    }, replyTo)
    connection.outbox.catchUp(channel, { start: { sequence, offset: offset + 1 }, firstMissingOffset, messages })
    this.#sendLatest(connection, channel, filter, createdCount)
  }

  #acknowledge (connection: Connection, ack: Omit<Ack, 'status'> & { outcome: SubscriptionOutcome }, replyTo: string | undefined): void {
    this.#deps.onOutcome(ack.outcome, ack.gap?.cause)
    acknowledge(this.#deps.envelope, connection, { ...ack, status: 'subscribed' }, replyTo)
  }

  // States that replace each other are not in the log; the newest may be newer than what was sent just now.
  #sendLatest (connection: Connection, channel: ChannelName, filter: SubscriptionFilter | undefined, since: number): void {
    const { latestValues, fits } = this.#deps
    for (const message of latestValues.of(channel)) if (message.creationIndex >= since && fits(message, filter)) connection.outbox.send(message)
  }
}

type Ack = ServerMessages['subscription_ack']['payload']

/** Answers a `subscribe` or `unsubscribe` for one channel. */
export function acknowledge (envelope: Envelope, connection: Connection, payload: Ack, replyTo: string | undefined): void {
  connection.outbox.send(envelope.message('subscription_ack', { payload }, { replyTo }))
}
