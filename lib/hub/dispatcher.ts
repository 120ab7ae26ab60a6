import { CHANNEL_NAMES, type ChannelName, type LoggedChannel } from '../../schemas/channels/index.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { ClientMessage, ClientMessages } from '../../schemas/messages/client-messages.js'
import { PROTOCOL_ERRORS, SUBSCRIPTION_ERRORS, type ProtocolErrorCode, type SubscriptionErrorCode } from '../../schemas/messages/server-messages.js'
import type { ServerIdentity } from '../../schemas/messages/envelope.js'
import type { Connection } from './connections/connection.js'
import type { HubMetrics } from './metrics.js'
import { acknowledge, type SubscribeFlow } from './subscriptions/subscribe.js'
import type { Envelope } from './wire/envelope.js'
import { decode } from './wire/decode.js'
import type { Subscriptions } from './subscriptions/subscriptions.js'

/** What became of a command; the codes are those of the protocol. */
export type CommandOutcome = { accepted: true, missionId: string } | { accepted: false, code: ProtocolErrorCode }

/** The domain's door for commands of clients. Its promises never reject. */
export interface CommandPort {
  readonly capabilities: string[]
  /** `acknowledge` is called before anything of the new mission is told. */
  start (asked: { command: string, id: string | undefined, request: unknown, connectionId: string }, acknowledge: (outcome: CommandOutcome) => void): Promise<void>
  cancel (missionId: string, context: { request: unknown, connectionId: string }): Promise<CommandOutcome>
}

export interface DispatcherDeps {
  envelope: Envelope
  subscriptions: Subscriptions
  metrics: HubMetrics
  subscribeFlow: SubscribeFlow
  commands: CommandPort
  /** Whether a client may subscribe to a channel. */
  canSubscribe: (connection: Connection, channel: ChannelName) => boolean
  /** Whether it may have what was before it came. */
  canReplay: (connection: Connection, channel: ChannelName) => boolean
  /** Where a mission is, or how it ended; `undefined` for one that the client may not see too. */
  findMission: (missionId: string, context: { request: unknown, connectionId: string }) => MissionUpdate | undefined
  server: ServerIdentity
}

type Reactions = { [Type in ClientMessage['type']]: (connection: Connection, message: ClientMessages[Type]) => void }

/**
 * Carries out what clients ask for and answers through their outbox: in the order they asked, but for mission commands, which are
 * answered when the host's handler has.
 */
export class Dispatcher {
  readonly #deps: DispatcherDeps
  readonly #handlers: Reactions = {
    subscribe: (connection, message) => this.#subscribe(connection, message),
    unsubscribe: (connection, message) => this.#unsubscribe(connection, message),
    ping: (connection, { id }) => connection.outbox.send(this.#deps.envelope.message('pong', {}, { replyTo: id })),
    whoami: (connection, { id }) => this.#whoami(connection, id),
    mission_start: (connection, message) => this.#missionStart(connection, message),
    mission_cancel: (connection, message) => this.#missionCancel(connection, message),
    mission_get: (connection, message) => this.#missionGet(connection, message)
  }

  constructor (setup: DispatcherDeps) {
    this.#deps = setup
  }

  dispatch (connection: Connection, data: Buffer): void {
    const decoded = decode(data)
    if (decoded.ok) {
      const react = this.#handlers[decoded.message.type] as (connection: Connection, message: ClientMessage) => void
      return react(connection, decoded.message)
    }
    if (decoded.code === 'invalid_json') return this.fail(connection, 'invalid_json')
    this.fail(connection, 'invalid_message', decoded.replyTo, decoded.detail)
  }

  /** Answers with a `protocol_error`. */
  fail (connection: Connection, code: ProtocolErrorCode, replyTo?: string, detail?: string[]): void {
    this.#deps.metrics.protocolErrors.add(code)
    const error = { code, message: PROTOCOL_ERRORS[code], ...(detail && { detail }) }
    connection.outbox.send(this.#deps.envelope.message('protocol_error', { error }, { replyTo }))
  }

  // A name that is there twice is one subscription and one ack; an answer must not be larger than what asked for it allows.
  #subscribe (connection: Connection, { channels, since, filter, snapshot, id }: ClientMessages['subscribe']): void {
    const { subscriptions, subscribeFlow, canSubscribe } = this.#deps
    const forbidden: number[] = []
    this.#eachChannel(connection, channels, id, (name, position) => {
      if (!canSubscribe(connection, name)) {
        // Who may no longer have a channel does not keep it.
        subscriptions.leave(connection, name)
        return forbidden.push(position)
      }
      const wanted = name === 'mission_update' ? filter : undefined
      if (subscriptions.has(connection, name, wanted)) return this.#acknowledge(connection, name, 'subscribed', id)
      const isNew = subscriptions.join(connection, name, wanted)
      try {
        subscribeFlow.begin(connection, name, { since: since?.[name as LoggedChannel], filter: wanted, needsState: snapshot === true, replyTo: id })
      } catch (err) {
        // Without an ack it must not be subscribed.
        subscriptions.leave(connection, name)
        throw err
      }
      if (isNew) this.#deps.metrics.subscriptionsTotal++
    })
    if (forbidden.length > 0) this.#refuseChannels(connection, 'forbidden', forbidden, id)
  }

  #unsubscribe (connection: Connection, { channels, id }: ClientMessages['unsubscribe']): void {
    this.#eachChannel(connection, channels, id, (name) => {
      this.#deps.subscriptions.leave(connection, name)
      this.#acknowledge(connection, name, 'unsubscribed', id)
    })
  }

  #eachChannel (connection: Connection, names: string[], id: string | undefined, act: (name: ChannelName, position: number) => void): void {
    const unknown: number[] = []
    const seen = new Set<string>()
    for (const [position, name] of names.entries()) {
      if (!this.#deps.subscriptions.isChannel(name)) unknown.push(position)
      else if (!seen.has(name)) act(name, position)
      seen.add(name)
    }
    if (unknown.length > 0) this.#refuseChannels(connection, 'unknown_channel', unknown, id)
  }

  #refuseChannels (connection: Connection, code: SubscriptionErrorCode, positions: number[], replyTo: string | undefined): void {
    this.#deps.metrics.protocolErrors.add(code)
    const error = { code, message: SUBSCRIPTION_ERRORS[code], positions }
    connection.outbox.send(this.#deps.envelope.message('subscription_error', { error }, { replyTo }))
  }

  #acknowledge (connection: Connection, channel: ChannelName, status: 'subscribed' | 'unsubscribed', replyTo: string | undefined): void {
    acknowledge(this.#deps.envelope, connection, { channel, status }, replyTo)
  }

  #whoami (connection: Connection, replyTo: string | undefined): void {
    const { server, commands, envelope } = this.#deps
    const payload = { server, version: server.version, channels: CHANNEL_NAMES, capabilities: commands.capabilities }
    connection.outbox.send(envelope.message('whoami', { payload }, { replyTo }))
  }

  #missionStart (connection: Connection, { command, id }: ClientMessages['mission_start']): void {
    this.#deps.commands.start({ command, id, ...context(connection) }, (outcome) => {
      if (outcome.accepted) this.#acceptMission(connection, { missionId: outcome.missionId, status: 'accepted' }, id)
      else this.fail(connection, outcome.code, id)
    })
  }

  #missionGet (connection: Connection, { missionId, id }: ClientMessages['mission_get']): void {
    const { envelope, findMission, canSubscribe, canReplay } = this.#deps
    const payload = canSubscribe(connection, 'mission_update') ? findMission(missionId, context(connection)) : undefined
    const isHidden = payload?.endedAt !== undefined && !canReplay(connection, 'mission_update')
    if (payload === undefined || isHidden) return this.fail(connection, 'unknown_mission', id)
    connection.outbox.send(envelope.message('mission_update', { payload }, { replyTo: id }))
  }

  #missionCancel (connection: Connection, { missionId, id }: ClientMessages['mission_cancel']): void {
    this.#deps.commands.cancel(missionId, context(connection)).then((outcome) => {
      if (outcome.accepted) this.#acceptMission(connection, { missionId, status: 'accepted', action: 'cancel' }, id)
      else this.fail(connection, outcome.code, id)
    })
  }

  #acceptMission (connection: Connection, payload: { missionId: string, status: 'accepted', action?: 'cancel' }, replyTo: string | undefined): void {
    connection.outbox.send(this.#deps.envelope.message('mission_ack', { payload }, { replyTo }))
  }
}

const context = (connection: Connection) => ({ request: connection.request, connectionId: connection.id })
