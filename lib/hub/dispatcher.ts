import { CHANNEL_NAMES, type ChannelName } from '../../schemas/channels/index.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { ClientMessage, ClientMessages } from '../../schemas/messages/client-messages.js'
import { PROTOCOL_ERRORS, type ProtocolErrorCode, type ServerMessages } from '../../schemas/messages/server-messages.js'
import type { ServerIdentity } from '../../schemas/messages/envelope.js'
import type { Connection } from './connections/connection.js'
import type { Steps, TurnWork } from './delivery/turn-work.js'
import { SubscribeCommands, type SubscribeCommandsDeps } from './subscriptions/subscribe-commands.js'
import { decode } from './wire/decode.js'

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

export interface DispatcherDeps extends SubscribeCommandsDeps {
  commands: CommandPort
  work: TurnWork
  onCallbackError: (where: string, err: unknown) => void
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
  readonly #subscribeCommands: SubscribeCommands
  readonly #reactions: Reactions = {
    subscribe: (connection, message) => this.#subscribe(connection, message),
    unsubscribe: (connection, message) => this.#subscribeCommands.unsubscribe(connection, message),
    ping: (connection, { id }) => connection.outbox.send(this.#deps.envelope.message('pong', {}, { replyTo: id })),
    whoami: (connection, { id }) => this.#whoami(connection, id),
    mission_start: (connection, message) => this.#missionStart(connection, message),
    mission_cancel: (connection, message) => this.#missionCancel(connection, message),
    mission_get: (connection, message) => this.#missionGet(connection, message)
  }

  constructor (deps: DispatcherDeps) {
    this.#deps = deps
    this.#subscribeCommands = new SubscribeCommands(deps)
  }

  /** Decodes and carries out one message, or keeps it until the subscribe before it is carried out. Never throws. */
  dispatch (connection: Connection, data: Buffer): void {
    if (connection.waiting !== undefined) connection.waiting.push(data)
    else this.#guard(connection, () => this.#carryOut(connection, data))
  }

  /**
   * Answers what waits for a subscribe, because the connection is about to be closed. Subscribes among it are not
   * carried out.
   */
  answerWaiting (connection: Connection): void {
    connection.isLimited = true
    const waiting = connection.waiting?.splice(0) ?? []
    for (const data of waiting) this.#guard(connection, () => this.#carryOut(connection, data))
  }

  #carryOut (connection: Connection, data: Buffer): void {
    const decoded = decode(data)
    if (decoded.ok) {
      if (connection.isLimited && decoded.message.type === 'subscribe') return
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
    this.#deps.work.run(this.#inTurns(connection, this.#subscribeCommands.subscribe(connection, message), waiting))
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
