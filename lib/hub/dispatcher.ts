import { CHANNEL_NAMES, type ChannelName, type LoggedChannel } from '../../schemas/channels/index.js'
import type { ClientMessage, ClientMessages } from '../../schemas/messages/client-messages.js'
import {
  PROTOCOL_ERRORS,
  SUBSCRIPTION_ERRORS,
  type ProtocolErrorCode,
  type ServerMessages,
  type SubscriptionErrorCode
} from '../../schemas/messages/server-messages.js'
import type { ServerIdentity } from '../../schemas/messages/envelope.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import type { Access } from '../access/access.js'
import type { Connection } from './connections/connection.js'
import type { Steps, TurnWork } from './delivery/turn-work.js'
import type { HubMetrics } from './metrics.js'
import type { Broadcaster } from './broadcaster.js'
import type { Selection } from './channel.js'
import type { MissionRequests } from './mission-requests.js'
import type { Renewal } from './renewal.js'
import { acknowledge } from './subscriptions/subscribe.js'
import type { Envelope } from './wire/envelope.js'
import { decode } from './wire/decode.js'

export interface DispatcherDeps {
  envelope: Envelope
  /** What the client sees. */
  broadcasterOf: (connection: Connection) => Broadcaster
  metrics: HubMetrics
  missions: MissionRequests
  access: Access
  work: TurnWork
  onCallbackError: (where: string, err: unknown) => void
  renewal: Renewal
  server: ServerIdentity
  /** What a client may send, for `whoami`. */
  limits: ServerMessages['whoami']['payload']['limits']
}

type Reactions = { [Type in ClientMessage['type']]: (connection: Connection, message: ClientMessages[Type]) => void }

/**
 * Carries out the messages of clients and replies through their outbox. Replies come in the order of the messages,
 * except those to mission commands, which come when the host's handler has answered.
 */
export class Dispatcher {
  readonly #deps: DispatcherDeps
  readonly #reactions: Reactions = {
    subscribe: (connection, message) => this.#subscribe(connection, message),
    unsubscribe: (connection, message) => this.#unsubscribe(connection, message),
    ping: (connection, { id }) => connection.outbox.send(this.#deps.envelope.message('pong', {}, { replyTo: id })),
    whoami: (connection, { id }) => this.#whoami(connection, id),
    mission_start: (connection, message) => this.#deps.missions.start(connection, message),
    mission_cancel: (connection, message) => this.#deps.missions.cancel(connection, message),
    mission_get: (connection, message) => this.#deps.missions.get(connection, message),
    auth_refresh: (connection, message) => this.#authRefresh(connection, message)
  }

  constructor (deps: DispatcherDeps) {
    this.#deps = deps
  }

  /** Decodes and carries out one message, or keeps it until the subscribe before it is carried out. Never throws. */
  dispatch (connection: Connection, data: Buffer): void {
    if (connection.waiting !== undefined) connection.waiting.push(data)
    else this.#guard(connection, () => this.#carryOut(connection, data))
  }

  #carryOut (connection: Connection, data: Buffer): void {
    const decoded = decode(data)
    if (decoded.ok) {
      const react = this.#reactions[decoded.message.type] as (connection: Connection, message: ClientMessage) => void
      return react(connection, decoded.message)
    }
    if (decoded.code === 'invalid_json') return this.fail(connection, 'invalid_json')
    this.fail(connection, 'invalid_message', decoded.replyTo, decoded.detail)
  }

  #guard<T> (connection: Connection, run: () => T): T | undefined {
    try {
      return run()
    } catch (err) {
      this.#deps.onCallbackError('message', err)
      this.fail(connection, 'internal_error')
      return undefined
    }
  }

  // A subscribe may need a large snapshot, which takes several turns of the event loop. Later messages of the client
  // wait for it, so that the replies come in order.
  #subscribe (connection: Connection, message: ClientMessages['subscribe']): void {
    const waiting: Buffer[] = connection.waiting = []
    this.#deps.work.run(this.#inTurns(connection, this.#subscribeToAll(connection, message), waiting))
  }

  * #inTurns (connection: Connection, steps: Steps, waiting: Buffer[]): Steps {
    for (let hasTurned = false; !connection.isClosing;) {
      const step = this.#guard(connection, () => steps.next(hasTurned))
      if (step === undefined || step.done === true) break
      hasTurned = yield step.value
    }
    connection.waiting = undefined
    for (const data of waiting) if (!connection.isClosing) this.dispatch(connection, data)
  }

  /** Replies with a `protocol_error`. */
  fail (connection: Connection, code: ProtocolErrorCode, replyTo?: string, detail?: string[]): void {
    this.#deps.metrics.protocolErrors.add(code)
    const error = { code, message: PROTOCOL_ERRORS[code], ...(detail && { detail }) }
    connection.outbox.send(this.#deps.envelope.message('protocol_error', { error }, { replyTo }))
  }

  * #subscribeToAll (connection: Connection, message: ClientMessages['subscribe']): Steps {
    const { subscriptions } = this.#deps.broadcasterOf(connection)
    const { id } = message
    const { known, unknown } = this.#sortNames(connection, message.channels)
    const forbidden: number[] = []
    for (const [name, index] of known) {
      if (this.#may(connection, 'subscribe', name)) {
        yield * this.#subscribeTo(connection, name, message)
        continue
      }
      // A client that lost its permission loses the subscription too.
      subscriptions.leave(connection, name)
      forbidden.push(index)
    }
    for (const position of unknown) this.#refuseChannel(connection, 'unknown_channel', position, id)
    for (const position of forbidden) this.#refuseChannel(connection, 'forbidden', position, id)
  }

  * #subscribeTo (connection: Connection, name: ChannelName, message: ClientMessages['subscribe']): Steps {
    const { subscriptions, subscribeFlow } = this.#deps.broadcasterOf(connection)
    const { since, endings = 0, snapshot, id } = message
    const filter = name === 'mission_update' ? this.#selectionOf(connection, message.filter) : undefined
    if (subscriptions.has(connection, name, filter)) return this.#acknowledge(connection, name, 'subscribed', id)
    const cursor = since?.[name as LoggedChannel]
    const request = { since: cursor, filter, endings, needsSnapshot: snapshot === true, replyTo: id }
    const beginning = yield * subscribeFlow.prepare(connection, name, request)
    const isNew = subscriptions.join(connection, name, filter)
    let readCount
    try {
      readCount = subscribeFlow.begin(connection, name, request, beginning).readCount
    } catch (err) {
      // No ack was sent, so the client must not be subscribed.
      subscriptions.leave(connection, name)
      throw err
    }
    if (isNew) this.#deps.metrics.subscriptionsTotal++
    yield readCount
  }

  #unsubscribe (connection: Connection, { channels, id }: ClientMessages['unsubscribe']): void {
    const { known, unknown } = this.#sortNames(connection, channels)
    for (const name of known.keys()) {
      this.#deps.broadcasterOf(connection).subscriptions.leave(connection, name)
      this.#acknowledge(connection, name, 'unsubscribed', id)
    }
    for (const position of unknown) this.#refuseChannel(connection, 'unknown_channel', position, id)
  }

  // The channels with their positions, and the positions of unknown names. Every name gets one reply. A repeated name
  // counts once: replies must not be larger than the request justifies.
  #sortNames (
    connection: Connection, names: string[]
  ): { known: Map<ChannelName, number>, unknown: Iterable<number> } {
    const { subscriptions } = this.#deps.broadcasterOf(connection)
    const known = new Map<ChannelName, number>()
    const unknown = new Map<string, number>()
    for (const [index, name] of names.entries()) {
      if (subscriptions.isChannel(name)) known.set(name, known.get(name) ?? index)
      else unknown.set(name, unknown.get(name) ?? index)
    }
    return { known, unknown: unknown.values() }
  }

  // The position identifies the name, because a reply never repeats what a client sent.
  #refuseChannel (
    connection: Connection, code: SubscriptionErrorCode, position: number, replyTo: string | undefined
  ): void {
    this.#deps.metrics.protocolErrors.add(code)
    const error = { code, message: SUBSCRIPTION_ERRORS[code], position }
    connection.outbox.send(this.#deps.envelope.message('subscription_error', { error }, { replyTo }))
  }

  #acknowledge (
    connection: Connection, channel: ChannelName, status: 'subscribed' | 'unsubscribed', replyTo: string | undefined
  ): void {
    acknowledge(this.#deps.envelope, connection, { channel, status }, replyTo)
  }

  #whoami (connection: Connection, replyTo: string | undefined): void {
    const { server, envelope, limits } = this.#deps
    const payload = {
      server: server.name,
      version: server.version,
      channels: CHANNEL_NAMES.filter((name) => this.#may(connection, 'subscribe', name)),
      capabilities: this.#capabilities(),
      limits
    }
    connection.outbox.send(envelope.message('whoami', { payload }, { replyTo }))
  }

  #authRefresh (connection: Connection, { token, id }: ClientMessages['auth_refresh']): void {
    const refusal = this.#deps.renewal.renew(connection, token, id)
    if (refusal !== undefined) this.fail(connection, refusal, id)
  }

  #capabilities (): string[] {
    const { access, missions: { capabilities } } = this.#deps
    return access.canRefresh ? [...capabilities, 'auth_refresh'] : capabilities
  }

  #may ({ viewer }: Connection, action: 'subscribe' | 'replay', channel: ChannelName): boolean {
    return this.#deps.access.allows(viewer, { action, channel })
  }

  // Where the host decides who may see which mission, the viewer is a part of what is asked for.
  #selectionOf ({ viewer }: Connection, filter: SubscriptionFilter | undefined): Selection | undefined {
    return this.#deps.access.isNarrowed ? { ...filter, viewer } : filter
  }
}
