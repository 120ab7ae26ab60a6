import type { ChannelName, LoggedChannel } from '../../../schemas/channels/index.js'
import type { ClientMessages } from '../../../schemas/messages/client-messages.js'
import { SUBSCRIPTION_ERRORS, type SubscriptionErrorCode } from '../../../schemas/messages/server-messages.js'
import type { Access } from '../../access/access.js'
import type { Broadcaster } from '../broadcaster.js'
import type { Selection } from '../channel.js'
import type { Connection } from '../connections/connection.js'
import type { Steps } from '../delivery/turn-work.js'
import type { HubMetrics } from '../metrics.js'
import type { MessageEnvelope } from '../wire/envelope.js'
import { acknowledge } from './subscribe.js'
import type { Subscriptions } from './subscriptions.js'

export interface SubscribeCommandsDeps {
  envelope: MessageEnvelope
  metrics: HubMetrics
  access: Access
  /** What the client sees. */
  broadcasterOf: (connection: Connection) => Broadcaster
}

/** Carries out `subscribe` and `unsubscribe`: each channel of the list gets one reply. */
export class SubscribeCommands {
  readonly #deps: SubscribeCommandsDeps

  constructor (deps: SubscribeCommandsDeps) {
    this.#deps = deps
  }

  /** Yields the cost of each step: a snapshot may take several turns of the event loop. */
  * subscribe (connection: Connection, message: ClientMessages['subscribe']): Steps {
    const { access, broadcasterOf } = this.#deps
    const { subscriptions } = broadcasterOf(connection)
    const { id } = message
    const { known, unknown } = this.#sortNames(subscriptions, message.channels)
    const forbidden: number[] = []
    const postponed: Array<[position: number, retryAfterMs: number]> = []
    for (const [name, index] of known) {
      if (access.allows(connection.viewer, { action: 'subscribe', channel: name })) {
        const retryAfterMs = yield * this.#subscribeTo(connection, name, message)
        if (retryAfterMs > 0) postponed.push([index, retryAfterMs])
        continue
      }
      // A client that lost its permission loses the subscription too.
      subscriptions.leave(connection, name)
      forbidden.push(index)
    }
    for (const position of unknown) this.#refuseChannel(connection, 'unknown_channel', position, id)
    for (const position of forbidden) this.#refuseChannel(connection, 'forbidden', position, id)
    for (const [position, retryAfterMs] of postponed) {
      this.#refuseChannel(connection, 'rate_limited', position, id, { retryAfterMs })
    }
  }

  // Returns 0, or the time after which the client may try again.
  * #subscribeTo (
    connection: Connection, name: ChannelName, message: ClientMessages['subscribe']
  ): Generator<number, number, boolean> {
    const { subscriptions, subscribeFlow } = this.#deps.broadcasterOf(connection)
    const { since, endings = 0, snapshot, id } = message
    const filter = this.#selectionOf(connection, name, message)
    if (subscriptions.has(connection, name, filter)) {
      this.#acknowledge(connection, name, 'subscribed', id)
      return 0
    }
    const retryAfterMs = subscriptions.channel(name).size === undefined ? 0 : connection.handOvers.waitMs()
    if (retryAfterMs > 0) return retryAfterMs
    const cursor = since?.[name as LoggedChannel]
    const request = { since: cursor, filter, endings, needsSnapshot: snapshot === true, replyTo: id }
    const beginning = yield * subscribeFlow.prepare(connection, name, request)
    const isNew = subscriptions.join(connection, name, filter)
    let handOver
    try {
      handOver = subscribeFlow.begin(connection, name, request, beginning)
    } catch (err) {
      // No ack was sent, so the client must not be subscribed.
      subscriptions.leave(connection, name)
      throw err
    }
    if (isNew) this.#deps.metrics.subscriptionsTotal++
    // The messages are written next. If more of them began in one turn than are written in it, the connections would
    // fall behind, and could no longer share messages.
    yield handOver.readCount + handOver.messages.length
    return 0
  }

  unsubscribe (connection: Connection, { channels, id }: ClientMessages['unsubscribe']): void {
    const { subscriptions } = this.#deps.broadcasterOf(connection)
    const { known, unknown } = this.#sortNames(subscriptions, channels)
    for (const name of known.keys()) {
      subscriptions.leave(connection, name)
      this.#acknowledge(connection, name, 'unsubscribed', id)
    }
    for (const position of unknown) this.#refuseChannel(connection, 'unknown_channel', position, id)
  }

  // The channels with their positions, and the positions of unknown names. Every name gets one reply. A repeated name
  // counts once: replies must not be larger than the request justifies.
  #sortNames (
    subscriptions: Subscriptions, names: string[]
  ): { known: Map<ChannelName, number>, unknown: Iterable<number> } {
    const known = new Map<ChannelName, number>()
    const unknown = new Map<string, number>()
    for (const [index, name] of names.entries()) {
      if (subscriptions.isChannel(name)) known.set(name, known.get(name) ?? index)
      else unknown.set(name, unknown.get(name) ?? index)
    }
    return { known, unknown: unknown.values() }
  }

  // Where the host decides who may see which mission, the viewer is a part of what is asked for.
  #selectionOf (
    { viewer }: Connection, name: ChannelName, { filter, latency = [] }: ClientMessages['subscribe']
  ): Selection | undefined {
    if (name === 'metrics_tick') return { latency }
    if (name !== 'mission_update') return undefined
    return this.#deps.access.isNarrowed ? { ...filter, viewer } : filter
  }

  // The position identifies the name, because a reply never repeats what a client sent.
  #refuseChannel (
    connection: Connection, code: SubscriptionErrorCode, position: number, replyTo: string | undefined,
    more?: { retryAfterMs: number }
  ): void {
    this.#deps.metrics.protocolErrors.add(code)
    const error = { code, message: SUBSCRIPTION_ERRORS[code], position, ...more }
    connection.outbox.send(this.#deps.envelope.message('subscription_error', { error }, { replyTo }))
  }

  #acknowledge (
    connection: Connection, channel: ChannelName, status: 'subscribed' | 'unsubscribed', replyTo: string | undefined
  ): void {
    acknowledge(this.#deps.envelope, connection, { channel, status }, replyTo)
  }
}
