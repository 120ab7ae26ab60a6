import { CHANNEL_NAMES, type ChannelName, type LoggedChannel } from '../../schemas/channels/index.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { ClientMessage, ClientMessages } from '../../schemas/messages/client-messages.js'
import {
  PROTOCOL_ERRORS,
  SUBSCRIPTION_ERRORS,
  type ProtocolErrorCode,
  type ServerMessages,
  type SubscriptionErrorCode
} from '../../schemas/messages/server-messages.js'
import type { ServerIdentity } from '../../schemas/messages/envelope.js'
import type { Connection } from './connections/connection.js'
import type { Steps, TurnWork } from './delivery/turn-work.js'
import type { HubMetrics } from './metrics.js'
import { acknowledge, type SubscribeFlow } from './subscriptions/subscribe.js'
import type { Envelope } from './wire/envelope.js'
import { decode } from './wire/decode.js'
import type { Subscriptions } from './subscriptions/subscriptions.js'

/** The result of a command; the codes are those of `protocol_error`. */
export type CommandOutcome = { accepted: true, missionId: string } | { accepted: false, code: ProtocolErrorCode }

/** The client that sent a command. */
interface RequestContext { request: unknown, connectionId: string }

/** Executes the mission commands of clients. Its promises never reject. */
export interface CommandPort {
  readonly capabilities: string[]
  /** `acknowledge` is called exactly once, before any update of the new mission is published. */
  start (
    asked: RequestContext & { command: string, id: string | undefined },
    acknowledge: (outcome: CommandOutcome) => void
  ): Promise<void>
  cancel (missionId: string, context: RequestContext): Promise<CommandOutcome>
}

export interface DispatcherDeps {
  envelope: Envelope
  subscriptions: Subscriptions
  metrics: HubMetrics
  subscribeFlow: SubscribeFlow
  commands: CommandPort
  work: TurnWork
  onCallbackError: (where: string, err: unknown) => void
  /** Whether the client may subscribe to a channel. */
  canSubscribe: (connection: Connection, channel: ChannelName) => boolean
  /** Whether the client may receive messages from before its subscription. */
  canReplay: (connection: Connection, channel: ChannelName) => boolean
  /** The state or the ending of a mission; `undefined` if it is unknown or not visible to the client. */
  findMission: (missionId: string, context: RequestContext) => MissionUpdate | undefined
  server: ServerIdentity
  /** What a client may send, for `whoami`. */
  limits: ServerMessages['whoami']['payload']['limits']
}

type Reactions = { [Type in ClientMessage['type']]: (connection: Connection, message: ClientMessages[Type]) => void }

type MissionAck = ServerMessages['mission_ack']['payload']

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
    mission_start: (connection, message) => this.#missionStart(connection, message),
    mission_cancel: (connection, message) => this.#missionCancel(connection, message),
    mission_get: (connection, message) => this.#missionGet(connection, message)
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
    const { subscriptions, canSubscribe } = this.#deps
    const { id } = message
    const { known, unknown } = this.#sortNames(message.channels)
    const forbidden: number[] = []
    for (const [name, index] of known) {
      if (canSubscribe(connection, name)) {
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
    const { subscriptions, subscribeFlow, metrics } = this.#deps
    const { since, endings = 0, snapshot, id } = message
    const filter = name === 'mission_update' ? message.filter : undefined
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
    if (isNew) metrics.subscriptionsTotal++
    yield readCount
  }

  #unsubscribe (connection: Connection, { channels, id }: ClientMessages['unsubscribe']): void {
    const { known, unknown } = this.#sortNames(channels)
    for (const name of known.keys()) {
      this.#deps.subscriptions.leave(connection, name)
      this.#acknowledge(connection, name, 'unsubscribed', id)
    }
    for (const position of unknown) this.#refuseChannel(connection, 'unknown_channel', position, id)
  }

  // The channels with their positions, and the positions of unknown names. Every name gets one reply. A repeated name
  // counts once: replies must not be larger than the request justifies.
  #sortNames (names: string[]): { known: Map<ChannelName, number>, unknown: Iterable<number> } {
    const known = new Map<ChannelName, number>()
    const unknown = new Map<string, number>()
    for (const [index, name] of names.entries()) {
      if (this.#deps.subscriptions.isChannel(name)) known.set(name, known.get(name) ?? index)
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
    const { server, commands, envelope, limits } = this.#deps
    const payload = {
      server: server.name,
      version: server.version,
      channels: CHANNEL_NAMES,
      capabilities: commands.capabilities,
      limits
    }
    connection.outbox.send(envelope.message('whoami', { payload }, { replyTo }))
  }

  #missionStart (connection: Connection, { command, id }: ClientMessages['mission_start']): void {
    this.#deps.commands.start({ command, id, ...contextOf(connection) }, (outcome) => {
      if (!outcome.accepted) return this.fail(connection, outcome.code, id)
      this.#acknowledgeMission(connection, { missionId: outcome.missionId, status: 'accepted' }, id)
    })
  }

  #missionGet (connection: Connection, { missionId, id }: ClientMessages['mission_get']): void {
    const { envelope, findMission, canSubscribe, canReplay } = this.#deps
    const isAllowed = canSubscribe(connection, 'mission_update')
    const payload = isAllowed ? findMission(missionId, contextOf(connection)) : undefined
    const isHidden = payload?.endedAt !== undefined && !canReplay(connection, 'mission_update')
    if (payload === undefined || isHidden) return this.fail(connection, 'unknown_mission', id)
    connection.outbox.send(envelope.message('mission_update', { payload }, { replyTo: id }))
  }

  #missionCancel (connection: Connection, { missionId, id }: ClientMessages['mission_cancel']): void {
    this.#deps.commands.cancel(missionId, contextOf(connection)).then((outcome) => {
      if (!outcome.accepted) return this.fail(connection, outcome.code, id)
      this.#acknowledgeMission(connection, { missionId, status: 'accepted', action: 'cancel' }, id)
    })
  }

  #acknowledgeMission (connection: Connection, payload: MissionAck, replyTo: string | undefined): void {
    connection.outbox.send(this.#deps.envelope.message('mission_ack', { payload }, { replyTo }))
  }
}

const contextOf = ({ request, id }: Connection): RequestContext => ({ request, connectionId: id })
