import { CHANNEL_NAMES, type ChannelName } from '../../schemas/channels/index.js'
import type { ClientMessage, ClientMessages } from '../../schemas/messages/client-messages.js'
import { PROTOCOL_ERRORS, SUBSCRIPTION_ERRORS, type ProtocolErrorCode } from '../../schemas/messages/server-messages.js'
import type { ServerIdentity } from '../../schemas/messages/envelope.js'
import type { Connection } from './connection.js'
import type { HubCounters } from './counters.js'
import type { Envelope } from './envelope.js'
import { decode } from './protocol.js'
import type { Subscriptions } from './subscriptions.js'

/** What became of a command; the codes are those of the protocol. */
export type CommandOutcome = { accepted: true, missionId: string } | { accepted: false, code: ProtocolErrorCode }

/** The domain's door for commands of clients. Its promises never reject. */
export interface CommandPort {
  readonly capabilities: string[]
  /** `acknowledge` is called before anything of the new mission is told. */
  start (asked: { command: string, id: string | undefined, request: unknown, connectionId: string }, acknowledge: (outcome: CommandOutcome) => void): Promise<void>
  cancel (missionId: string, context: { request: unknown, connectionId: string }): Promise<CommandOutcome>
}

export interface DispatcherSetup {
  envelope: Envelope
  subscriptions: Subscriptions
  counters: HubCounters
  commands: CommandPort
  server: ServerIdentity
}

type Reactions = { [Type in ClientMessage['type']]: (connection: Connection, message: ClientMessages[Type]) => void }

/**
 * Carries out what clients ask for and answers through their outbox: in the order they asked, but for mission commands, which are
 * answered when the host's handler has.
 */
export class Dispatcher {
  readonly #setup: DispatcherSetup
  readonly #reactions: Reactions = {
    subscribe: (connection, message) => this.#subscribe(connection, message),
    unsubscribe: (connection, message) => this.#unsubscribe(connection, message),
    ping: (connection, { id }) => connection.outbox.send(this.#setup.envelope.message('pong', {}, { replyTo: id })),
    whoami: (connection, { id }) => this.#whoami(connection, id),
    mission_start: (connection, message) => this.#missionStart(connection, message),
    mission_cancel: (connection, message) => this.#missionCancel(connection, message),
    mission_get: (connection, { id }) => this.fail(connection, 'unknown_mission', id)
  }

  constructor (setup: DispatcherSetup) {
    this.#setup = setup
  }

  dispatch (connection: Connection, data: Buffer): void {
    const decoded = decode(data)
    if (decoded.ok) {
      const react = this.#reactions[decoded.message.type] as (connection: Connection, message: ClientMessage) => void
      return react(connection, decoded.message)
    }
    if (decoded.code === 'invalid_json') return this.fail(connection, 'invalid_json')
    this.fail(connection, 'invalid_message', decoded.replyTo, decoded.detail)
  }

  /** Answers with a `protocol_error`. */
  fail (connection: Connection, code: ProtocolErrorCode, replyTo?: string, detail?: string[]): void {
    this.#setup.counters.protocolErrors.add(code)
    const error = { code, message: PROTOCOL_ERRORS[code], ...(detail && { detail }) }
    connection.outbox.send(this.#setup.envelope.message('protocol_error', { error }, { replyTo }))
  }

  // A name that is there twice is one subscription and one ack; an answer must not be larger than what asked for it allows.
  #subscribe (connection: Connection, { channels, id }: ClientMessages['subscribe']): void {
    this.#eachChannel(connection, channels, id, (name) => {
      const isNew = this.#setup.subscriptions.join(connection, name)
      if (isNew) this.#setup.counters.subscriptionsTotal++
      this.#acknowledge(connection, name, 'subscribed', id)
      if (isNew) this.#sendSnapshot(connection, name)
    })
  }

  #unsubscribe (connection: Connection, { channels, id }: ClientMessages['unsubscribe']): void {
    this.#eachChannel(connection, channels, id, (name) => {
      this.#setup.subscriptions.leave(connection, name)
      this.#acknowledge(connection, name, 'unsubscribed', id)
    })
  }

  #eachChannel (connection: Connection, names: string[], id: string | undefined, act: (name: ChannelName) => void): void {
    const unknown: number[] = []
    const seen = new Set<string>()
    for (const [position, name] of names.entries()) {
      if (!this.#setup.subscriptions.isChannel(name)) unknown.push(position)
      else if (!seen.has(name)) act(name)
      seen.add(name)
    }
    if (unknown.length > 0) this.#refuseChannels(connection, unknown, id)
  }

  #refuseChannels (connection: Connection, positions: number[], replyTo: string | undefined): void {
    this.#setup.counters.protocolErrors.add('unknown_channel')
    const error = { code: 'unknown_channel' as const, message: SUBSCRIPTION_ERRORS.unknown_channel, positions }
    connection.outbox.send(this.#setup.envelope.message('subscription_error', { error }, { replyTo }))
  }

  #acknowledge (connection: Connection, channel: ChannelName, status: 'subscribed' | 'unsubscribed', replyTo: string | undefined): void {
    connection.outbox.send(this.#setup.envelope.message('subscription_ack', { payload: { channel, status } }, { replyTo }))
  }

  #sendSnapshot (connection: Connection, name: ChannelName): void {
    for (const payload of this.#setup.subscriptions.channel(name).snapshot()) {
      connection.outbox.send(this.#setup.envelope.message(name, { payload } as never, { traits: { channel: name } }))
    }
  }

  #whoami (connection: Connection, replyTo: string | undefined): void {
    const { server, commands, envelope } = this.#setup
    const payload = { server, version: server.version, channels: CHANNEL_NAMES, capabilities: commands.capabilities }
    connection.outbox.send(envelope.message('whoami', { payload }, { replyTo }))
  }

  #missionStart (connection: Connection, { command, id }: ClientMessages['mission_start']): void {
    this.#setup.commands.start({ command, id, ...context(connection) }, (outcome) => {
      if (outcome.accepted) this.#acceptMission(connection, { missionId: outcome.missionId, status: 'accepted' }, id)
      else this.fail(connection, outcome.code, id)
    })
  }

  #missionCancel (connection: Connection, { missionId, id }: ClientMessages['mission_cancel']): void {
    this.#setup.commands.cancel(missionId, context(connection)).then((outcome) => {
      if (outcome.accepted) this.#acceptMission(connection, { missionId, status: 'accepted', action: 'cancel' }, id)
      else this.fail(connection, outcome.code, id)
    })
  }

  #acceptMission (connection: Connection, payload: { missionId: string, status: 'accepted', action?: 'cancel' }, replyTo: string | undefined): void {
    connection.outbox.send(this.#setup.envelope.message('mission_ack', { payload }, { replyTo }))
  }
}

const context = (connection: Connection) => ({ request: connection.request, connectionId: connection.id })
