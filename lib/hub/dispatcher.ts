import type { Anomaly } from '../../schemas/anomaly.js'
import { CHANNEL_NAMES, type ChannelName } from '../../schemas/channels/index.js'
import type { ClientMessage, ClientMessages } from '../../schemas/messages/client-messages.js'
import {
  PROTOCOL_ERRORS, type ProtocolError, type ProtocolErrorCode, type ServerMessages
} from '../../schemas/messages/server-messages.js'
import type { ServerIdentity } from '../../schemas/messages/envelope.js'
import type { Connection } from './connections/connection.js'
import type { Steps, TurnWork } from './delivery/turn-work.js'
import type { MissionRequests } from './mission-requests.js'
import type { Renewal } from './renewal.js'
import { SubscribeCommands, type SubscribeCommandsDeps } from './subscriptions/subscribe-commands.js'
import { decode } from './wire/decode.js'

export interface DispatcherDeps extends SubscribeCommandsDeps {
  missions: MissionRequests
  work: TurnWork
  onCallbackError: (where: string, err: unknown) => void
  renewal: Renewal
  server: ServerIdentity
  /** The latest alerts of a tenant, newest first; without a tenant, the alerts of operators. */
  alertHistory: (tenant: string | undefined, limit: number | undefined) => Anomaly[]
  /** What a client may send, for `whoami`. */
  limits: ServerMessages['whoami']['payload']['limits']
}

/** What may take several turns of the event loop. */
const IN_TURNS: ReadonlyArray<ClientMessage['type']> = ['subscribe', 'mission_list']

/** A history in lists of the largest size. */
const HISTORY_COST = 0.25

/** What a `protocol_error` says beside its code. */
export type ErrorDetails = Pick<ProtocolError, 'detail' | 'retryAfterMs'>

type Reactions = { [Type in ClientMessage['type']]: (connection: Connection, message: ClientMessages[Type]) => void }

/**
 * Carries out the messages of clients and replies through their outbox. Replies come in the order of the messages,
 * except those to mission commands, which come when the host's handler has answered.
 */
export class Dispatcher {
  readonly #deps: DispatcherDeps
  readonly #subscribeCommands: SubscribeCommands
  readonly #reactions: Reactions = {
    subscribe: (connection, message) =>
      this.#runInTurns(connection, this.#subscribeCommands.subscribe(connection, message)),
    unsubscribe: (connection, message) => this.#subscribeCommands.unsubscribe(connection, message),
    ping: (connection, { id }) => connection.outbox.send(this.#deps.envelope.message('pong', {}, { replyTo: id })),
    whoami: (connection, { id }) => this.#whoami(connection, id),
    mission_start: (connection, message) => this.#deps.missions.start(connection, message),
    mission_cancel: (connection, message) => this.#deps.missions.cancel(connection, message),
    mission_get: (connection, message) => this.#deps.missions.get(connection, message),
    anomaly_history: (connection, message) => this.#anomalyHistory(connection, message),
    mission_list: (connection, message) => this.#runInTurns(connection, this.#deps.missions.list(connection, message)),
    auth_refresh: (connection, message) => this.#authRefresh(connection, message)
  }

  constructor (deps: DispatcherDeps) {
    this.#deps = deps
    this.#subscribeCommands = new SubscribeCommands(deps)
  }

  /** Decodes and carries out one message, or keeps it until the work before it is done. Never throws. */
  dispatch (connection: Connection, data: Buffer): void {
    if (connection.waiting !== undefined) connection.waiting.push(data)
    else this.#guard(connection, () => this.#carryOut(connection, data))
  }

  /**
   * Answers what waits for a subscribe or a list, because the connection is about to be closed. Further ones among it
   * are not carried out.
   */
  answerWaiting (connection: Connection): void {
    connection.isLimited = true
    const waiting = connection.waiting?.splice(0) ?? []
    for (const data of waiting) this.#guard(connection, () => this.#carryOut(connection, data))
  }

  #carryOut (connection: Connection, data: Buffer): void {
    const decoded = decode(data)
    if (decoded.ok) {
      if (connection.isLimited && IN_TURNS.includes(decoded.message.type)) return
      const react = this.#reactions[decoded.message.type] as (connection: Connection, message: ClientMessage) => void
      return react(connection, decoded.message)
    }
    if (decoded.code === 'invalid_json') return this.fail(connection, 'invalid_json')
    this.fail(connection, 'invalid_message', decoded.replyTo, { detail: decoded.detail })
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

  // A subscribe may need a large snapshot, and so many lists may be asked for that they do not fit into one turn of the
  // event loop. Later messages of the client wait, so that the replies come in order.
  #runInTurns (connection: Connection, steps: Steps): void {
    const waiting: Buffer[] = connection.waiting = []
    this.#deps.work.run(this.#inTurns(connection, steps, waiting))
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
  fail (connection: Connection, code: ProtocolErrorCode, replyTo?: string, more?: ErrorDetails): void {
    this.#deps.metrics.protocolErrors.add(code)
    const error = { code, message: PROTOCOL_ERRORS[code], ...more }
    connection.outbox.send(this.#deps.envelope.message('protocol_error', { error }, { replyTo }))
  }

  #whoami (connection: Connection, replyTo: string | undefined): void {
    const { server, envelope, limits, missions, access } = this.#deps
    const { capabilities, ...offer } = missions.offer(connection)
    const payload = {
      server: server.name,
      version: server.version,
      channels: CHANNEL_NAMES.filter((name) => this.#maySubscribe(connection, name)),
      capabilities: access.canRefresh ? [...capabilities, 'auth_refresh'] : capabilities,
      limits,
      ...offer
    }
    connection.outbox.send(envelope.message('whoami', { payload }, { replyTo }))
  }

  #anomalyHistory (connection: Connection, { limit, id }: ClientMessages['anomaly_history']): void {
    const { access, envelope, alertHistory } = this.#deps
    const { viewer } = connection
    const may = (action: 'subscribe' | 'replay') => access.allows(viewer, { action, channel: 'anomaly_alert' })
    if (!may('subscribe') || !may('replay')) return this.fail(connection, 'forbidden', id)
    const retryAfterMs = connection.lists.waitMs()
    if (retryAfterMs > 0) return this.fail(connection, 'too_many_requests', id, { retryAfterMs })
    connection.lists.charge(HISTORY_COST)
    const alerts = alertHistory(viewer.tenant, limit)
    connection.outbox.send(envelope.message('anomaly_history', { payload: { alerts } }, { replyTo: id }))
  }

  #authRefresh (connection: Connection, { token, id }: ClientMessages['auth_refresh']): void {
    const refusal = this.#deps.renewal.renew(connection, token, id)
    if (refusal !== undefined) this.fail(connection, refusal, id)
  }

  #maySubscribe ({ viewer }: Connection, channel: ChannelName): boolean {
    return this.#deps.access.allows(viewer, { action: 'subscribe', channel })
  }
}
