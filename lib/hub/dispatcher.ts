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
import type { SubscriptionFilter } from '../../schemas/filter.js'
import type { Access } from '../access/access.js'
import { AccessCaller } from '../access/caller.js'
import type { Connection } from './connections/connection.js'
import type { HubMetrics } from './metrics.js'
import type { Broadcaster } from './broadcaster.js'
import type { Selection } from './channel.js'
import type { Renewal } from './renewal.js'
import { acknowledge } from './subscriptions/subscribe.js'
import type { Envelope } from './wire/envelope.js'
import { decode } from './wire/decode.js'

/** The result of a command; the codes are those of `protocol_error`. */
export type CommandOutcome = { accepted: true, missionId: string } | { accepted: false, code: ProtocolErrorCode }

/** Executes the mission commands of clients. Its promises never reject. */
export interface CommandPort {
  readonly capabilities: string[]
  /** `acknowledge` is called exactly once, before any update of the new mission is published. */
  start (
    asked: { command: string, id: string | undefined, caller: AccessCaller },
    acknowledge: (outcome: CommandOutcome) => void
  ): Promise<void>
  cancel (missionId: string, caller: AccessCaller): Promise<CommandOutcome>
}

export interface DispatcherDeps {
  envelope: Envelope
  /** What the client sees. */
  broadcasterOf: (connection: Connection) => Broadcaster
  metrics: HubMetrics
  commands: CommandPort
  access: Access
  /** The state or the ending of a mission; `undefined` if it is unknown or not visible to the client. */
  findMission: (missionId: string, caller: AccessCaller) => MissionUpdate | undefined
  renewal: Renewal
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
    mission_get: (connection, message) => this.#missionGet(connection, message),
    auth_refresh: (connection, message) => this.#authRefresh(connection, message)
  }

  constructor (deps: DispatcherDeps) {
    this.#deps = deps
  }

  /** Decodes and carries out one message. */
  dispatch (connection: Connection, data: Buffer): void {
    const decoded = decode(data)
    if (decoded.ok) {
      const react = this.#reactions[decoded.message.type] as (connection: Connection, message: ClientMessage) => void
      return react(connection, decoded.message)
    }
    if (decoded.code === 'invalid_json') return this.fail(connection, 'invalid_json')
    this.fail(connection, 'invalid_message', decoded.replyTo, decoded.detail)
  }

  /** Replies with a `protocol_error`. */
  fail (connection: Connection, code: ProtocolErrorCode, replyTo?: string, detail?: string[]): void {
    this.#deps.metrics.protocolErrors.add(code)
    const error = { code, message: PROTOCOL_ERRORS[code], ...(detail && { detail }) }
    connection.outbox.send(this.#deps.envelope.message('protocol_error', { error }, { replyTo }))
  }

  #subscribe (connection: Connection, message: ClientMessages['subscribe']): void {
    const { subscriptions } = this.#deps.broadcasterOf(connection)
    const { channels, id } = message
    const forbidden: number[] = []
    this.#forEachChannel(connection, channels, id, (name, index) => {
      if (this.#may(connection, 'subscribe', name)) return this.#subscribeTo(connection, name, message)
      // A client that lost its permission loses the subscription too.
      subscriptions.leave(connection, name)
      forbidden.push(index)
    })
    for (const position of forbidden) this.#refuseChannel(connection, 'forbidden', position, id)
  }

  #subscribeTo (connection: Connection, name: ChannelName, message: ClientMessages['subscribe']): void {
    const { subscriptions, subscribeFlow } = this.#deps.broadcasterOf(connection)
    const { since, endings = 0, snapshot, id } = message
    const filter = name === 'mission_update' ? this.#selectionOf(connection, message.filter) : undefined
    if (subscriptions.has(connection, name, filter)) return this.#acknowledge(connection, name, 'subscribed', id)
    const isNew = subscriptions.join(connection, name, filter)
    try {
      const cursor = since?.[name as LoggedChannel]
      const needsSnapshot = snapshot === true
      subscribeFlow.begin(connection, name, { since: cursor, filter, endings, needsSnapshot, replyTo: id })
    } catch (err) {
      // No ack was sent, so the client must not be subscribed.
      subscriptions.leave(connection, name)
      throw err
    }
    if (isNew) this.#deps.metrics.subscriptionsTotal++
  }

  #unsubscribe (connection: Connection, { channels, id }: ClientMessages['unsubscribe']): void {
    this.#forEachChannel(connection, channels, id, (name) => {
      this.#deps.broadcasterOf(connection).subscriptions.leave(connection, name)
      this.#acknowledge(connection, name, 'unsubscribed', id)
    })
  }

  // Every name gets one reply, also an unknown one. A repeated name counts once: replies must not be larger than the
  // request justifies.
  #forEachChannel (
    connection: Connection,
    names: string[],
    id: string | undefined,
    act: (name: ChannelName, index: number) => void
  ): void {
    const { subscriptions } = this.#deps.broadcasterOf(connection)
    const unknown: number[] = []
    const seen = new Set<string>()
    for (const [index, name] of names.entries()) {
      if (seen.has(name)) continue
      seen.add(name)
      if (subscriptions.isChannel(name)) act(name, index)
      else unknown.push(index)
    }
    for (const position of unknown) this.#refuseChannel(connection, 'unknown_channel', position, id)
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

  #missionStart (connection: Connection, { command, id }: ClientMessages['mission_start']): void {
    this.#deps.commands.start({ command, id, caller: this.#callerOf(connection) }, (outcome) => {
      if (!outcome.accepted) return this.fail(connection, outcome.code, id)
      this.#acknowledgeMission(connection, { missionId: outcome.missionId, status: 'accepted' }, id)
    })
  }

  #missionGet (connection: Connection, { missionId, id }: ClientMessages['mission_get']): void {
    const { envelope, findMission } = this.#deps
    const isAllowed = this.#may(connection, 'subscribe', 'mission_update')
    const payload = isAllowed ? findMission(missionId, this.#callerOf(connection)) : undefined
    const isHidden = payload?.endedAt !== undefined && !this.#may(connection, 'replay', 'mission_update')
    if (payload === undefined || isHidden) return this.fail(connection, 'unknown_mission', id)
    connection.outbox.send(envelope.message('mission_update', { payload }, { replyTo: id }))
  }

  #missionCancel (connection: Connection, { missionId, id }: ClientMessages['mission_cancel']): void {
    this.#deps.commands.cancel(missionId, this.#callerOf(connection)).then((outcome) => {
      if (!outcome.accepted) return this.fail(connection, outcome.code, id)
      this.#acknowledgeMission(connection, { missionId, status: 'accepted', action: 'cancel' }, id)
    })
  }

  #authRefresh (connection: Connection, { token, id }: ClientMessages['auth_refresh']): void {
    const refusal = this.#deps.renewal.renew(connection, token, id)
    if (refusal !== undefined) this.fail(connection, refusal, id)
  }

  #capabilities (): string[] {
    const { access, commands } = this.#deps
    return access.canRefresh ? [...commands.capabilities, 'auth_refresh'] : commands.capabilities
  }

  #may ({ viewer }: Connection, action: 'subscribe' | 'replay', channel: ChannelName): boolean {
    return this.#deps.access.allows(viewer, { action, channel })
  }

  // Where the host decides who may see which mission, the viewer is a part of what is asked for.
  #selectionOf ({ viewer }: Connection, filter: SubscriptionFilter | undefined): Selection | undefined {
    return this.#deps.access.isNarrowed ? { ...filter, viewer } : filter
  }

  #callerOf ({ viewer, request, id }: Connection): AccessCaller {
    return new AccessCaller(this.#deps.access, viewer, { request, connectionId: id })
  }

  #acknowledgeMission (connection: Connection, payload: MissionAck, replyTo: string | undefined): void {
    connection.outbox.send(this.#deps.envelope.message('mission_ack', { payload }, { replyTo }))
  }
}
