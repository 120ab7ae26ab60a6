import { LOGGED_CHANNELS, type ChannelName } from '../../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { Cursor } from '../../../schemas/messages/envelope.js'
import type { GapCause, ServerMessages, SubscriptionOutcome } from '../../../schemas/messages/server-messages.js'
import type { EndingsRange } from '../channel.js'
import type { Connection } from '../connections/connection.js'
import type { MessageEnvelope } from '../wire/envelope.js'
import type { MessageLog } from '../history/message-log.js'
import type { Message } from '../wire/message.js'
import type { HandOver, Snapshot, SnapshotCache } from '../history/snapshot-cache.js'
import type { Subscriptions } from './subscriptions.js'

/** What a client asks for when it subscribes to a channel. */
export interface SubscribeRequest {
  /** The last message that the client received, if it resumes. */
  since: Cursor | undefined
  filter: SubscriptionFilter | undefined
  /** How many of the newest endings a client without a cursor receives. */
  endings: number
  /** Whether a snapshot is sent even if no message is missing. */
  needsSnapshot: boolean
  replyTo: string | undefined
}

export interface SubscribeFlowDeps {
  envelope: MessageEnvelope
  log: MessageLog
  snapshots: SnapshotCache
  subscriptions: Subscriptions
  fits: (message: Message, filter: SubscriptionFilter | undefined) => boolean
  /** Whether the client may receive messages from before its subscription. */
  canReplay: (connection: Connection, channel: ChannelName) => boolean
  onOutcome: (outcome: SubscriptionOutcome, cause: GapCause | undefined) => void
}

/** How a subscription begins: why messages are missing, and the snapshot with these endings. */
interface Beginning {
  cause?: GapCause | undefined
  endings?: EndingsRange | undefined
  snapshot?: Snapshot | undefined
}

type Ack = ServerMessages['subscription_ack']['payload']

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/**
 * Brings a new subscriber into a channel: the ack with the outcome, then the missed messages or a snapshot, then
 * everything published from now on. All of it is sent in one synchronous step, so no message is lost or sent twice
 * between them. Only the snapshot is prepared before, in small steps.
 */
export class SubscribeFlow {
  readonly #deps: SubscribeFlowDeps

  constructor (deps: SubscribeFlowDeps) {
    this.#deps = deps
  }

  /**
   * Decides how the subscription begins, and takes the snapshot for it; yields the cost of each step. To be carried out
   * by `begin` in the same synchronous step.
   */
  * prepare (
    connection: Connection, channel: ChannelName, request: SubscribeRequest
  ): Generator<number, Beginning, boolean> {
    const { subscriptions, snapshots } = this.#deps
    if (!LOGGED.has(channel)) return {}
    subscriptions.open(channel)
    const { cause, endings } = this.#decide(connection, channel, request)
    if (endings === undefined) return {}
    const { filter } = request
    const snapshot = yield * snapshots.steps(channel, { filter, endings })
    if (snapshot !== undefined) return { cause, endings, snapshot }
    // The log may have been trimmed meanwhile.
    const present = this.#decide(connection, channel, request)
    return { ...present, snapshot: snapshots.snapshot(channel, { filter, endings: present.endings! }) }
  }

  /** To be called right after the connection joined the channel. Charges its budget; returns what was handed over. */
  begin (connection: Connection, channel: ChannelName, request: SubscribeRequest, beginning: Beginning): HandOver {
    const { since } = request
    const { cause, snapshot } = beginning
    if (!LOGGED.has(channel)) return this.#beginUnlogged(connection, channel, request)
    const handOver = snapshot === undefined || isResumed(request, cause)
      ? this.#resume(connection, channel, request, since!, snapshot)
      : this.#start(connection, channel, request, { ...beginning, snapshot })
    connection.handOvers.charge(this.#deps.snapshots.costOf(channel, handOver))
    return handOver
  }

  // Without endings, no snapshot is needed. A shared log does not have the latest values: those from before the channel
  // began here are part of a snapshot.
  #decide (connection: Connection, channel: ChannelName, request: SubscribeRequest): Beginning {
    const { since, needsSnapshot } = request
    const cause = since && this.#findGapCause(connection, channel, since)
    if (!isResumed(request, cause)) return { cause, endings: this.#chooseEndings(connection, channel, request, cause) }
    const isAhead = since!.offset > this.#deps.subscriptions.state(channel).begunAt
    return needsSnapshot || !isAhead ? { endings: { newest: 0 } } : {}
  }

  #beginUnlogged (connection: Connection, channel: ChannelName, { replyTo }: SubscribeRequest): HandOver {
    const { subscriptions, envelope } = this.#deps
    connection.subscriptions.set(channel, { sequence: 0, offset: 0 })
    const messages = Array.from(subscriptions.channel(channel).snapshot(),
      (payload) => envelope.message(channel, { payload } as never, { channel }))
    this.#acknowledge(connection, { channel, outcome: 'fresh', messages: messages.length }, replyTo)
    for (const message of messages) connection.outbox.send(message)
    return { messages, readCount: messages.length }
  }

  // Never trust the cursor: verify epoch, offset and id.
  #findGapCause (connection: Connection, channel: ChannelName, { epoch, offset, id }: Cursor): GapCause | undefined {
    const { log, canReplay } = this.#deps
    if (!canReplay(connection, channel)) return 'not_authorised'
    if (epoch !== log.epoch) return 'epoch_changed'
    if (offset < log.trimmed(channel).offset) return 'trimmed'
    return log.idAt(channel, offset) === id ? undefined : 'mismatch'
  }

  #resume (
    connection: Connection, channel: ChannelName, request: SubscribeRequest, { offset }: Cursor,
    taken: Snapshot | undefined
  ): HandOver {
    const { log, snapshots, fits } = this.#deps
    const { filter, replyTo } = request
    const snapshot = taken?.messages ?? []
    const start = { sequence: log.sequenceAfter(channel, offset), offset: offset + 1 }
    const asOf = { ...log.cursor(channel), ...snapshots.currentChecksum(channel, filter) }
    const missed = [...log.from(channel, start.sequence)]
    const fitting = missed.filter((message) => fits(message, filter))
    const messages = snapshot.length + fitting.length
    connection.subscriptions.set(channel, { ...start, filter })
    this.#acknowledge(connection, { channel, outcome: 'resumed', asOf, messages }, replyTo)
    connection.outbox.catchUp(channel, { start, firstMissingOffset: start.offset, snapshot })
    this.#sendLatestValues(connection, channel, filter)
    return { messages: [...snapshot, ...fitting], readCount: (taken?.readCount ?? 0) + missed.length }
  }

  #start (
    connection: Connection, channel: ChannelName, { filter, replyTo }: SubscribeRequest,
    { cause, endings, snapshot: taken }: Beginning & { snapshot: Snapshot }
  ): HandOver {
    const { messages: snapshot, asOf, sequence, offset, readCount } = taken
    const { log } = this.#deps
    const firstMissingOffset = 'after' in endings! ? endings.after + 1 : offset + 1
    const range = cause === 'trimmed' && { range: { epoch: log.epoch, from: firstMissingOffset, to: offset } }
    connection.subscriptions.set(channel, { sequence, offset: firstMissingOffset, filter })
    this.#acknowledge(connection, {
      channel,
      outcome: cause === undefined ? 'fresh' : 'gap',
      ...(cause !== undefined && { gap: { cause, ...range } }),
      asOf,
      messages: snapshot.length
    }, replyTo)
    connection.outbox.catchUp(channel, { start: { sequence, offset: offset + 1 }, firstMissingOffset, snapshot })
    return { messages: snapshot, readCount }
  }

  // Only a trimmed cursor belongs to this log. Any other cursor proves nothing, so the client gets all endings, also
  // those from before the first message of the log, whose offset is 0.
  #chooseEndings (
    connection: Connection, channel: ChannelName, { since, endings }: SubscribeRequest, cause: GapCause | undefined
  ): EndingsRange {
    const { log, canReplay } = this.#deps
    if (!canReplay(connection, channel)) return { after: log.head(channel) }
    if (cause === undefined) return { newest: endings }
    return { after: cause === 'trimmed' ? since!.offset : -1 }
  }

  #acknowledge (
    connection: Connection, ack: Omit<Ack, 'status'> & { outcome: SubscriptionOutcome }, replyTo: string | undefined
  ): void {
    this.#deps.onOutcome(ack.outcome, ack.gap?.cause)
    acknowledge(this.#deps.envelope, connection, { ...ack, status: 'subscribed' }, replyTo)
  }

  // Replaceable messages are not in the log. A connection that was subscribed before may have received them, and must
  // not get an id again.
  #sendLatestValues (connection: Connection, channel: ChannelName, filter: SubscriptionFilter | undefined): void {
    const { subscriptions, fits, envelope } = this.#deps
    for (const message of subscriptions.state(channel).latestValues.values()) {
      if (!fits(message, filter)) continue
      connection.outbox.send(message.creationIndex < connection.leftAt ? envelope.repeat(message) : message)
    }
  }
}

const isResumed = ({ since }: SubscribeRequest, cause: GapCause | undefined): boolean =>
  since !== undefined && cause === undefined

/** Answers a `subscribe` or `unsubscribe` for one channel. */
export function acknowledge (
  envelope: MessageEnvelope, connection: Connection, payload: Ack, replyTo: string | undefined
): void {
  connection.outbox.send(envelope.message('subscription_ack', { payload }, { replyTo }))
}
