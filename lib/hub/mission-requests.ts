import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import { PAGE_SIZE, type MissionQuery } from '../../schemas/mission.js'
import type { ClientMessages } from '../../schemas/messages/client-messages.js'
import type { ProtocolErrorCode, ServerMessages } from '../../schemas/messages/server-messages.js'
import type { Access } from '../access/access.js'
import { AccessCaller } from '../access/caller.js'
import type { Connection } from './connections/connection.js'
import { TURN_COST, type Steps } from './delivery/turn-work.js'
import type { MessageEnvelope } from './wire/envelope.js'

/** The result of a command; the codes are those of `protocol_error`. */
export type CommandOutcome = { accepted: true, missionId: string } | { accepted: false, code: ProtocolErrorCode }

/** Executes the mission commands of clients. Its promises never reject. */
export interface CommandPort {
  /** The commands that the caller may send, and the schema of the params of a start command. */
  offer (caller: AccessCaller): Pick<WhoAmI, 'capabilities' | 'startSchema' | 'cancelGraceMs'>
  /** `acknowledge` is called exactly once, before any update of the new mission is published. */
  start (
    asked: { command: string, id: string | undefined, caller: AccessCaller },
    acknowledge: (outcome: CommandOutcome) => void
  ): Promise<void>
  cancel (missionId: string, caller: AccessCaller, reason?: string): Promise<CommandOutcome>
}

export interface MissionRequestsDeps {
  envelope: MessageEnvelope
  access: Access
  commands: CommandPort
  /** The state or the ending of a mission; `undefined` if it is unknown or not visible to the client. */
  findMission: (missionId: string, caller: AccessCaller) => MissionUpdate | undefined
  /** The matching missions that the client may see, including ended ones. */
  listMissions: (query: MissionQuery, caller: AccessCaller) => MissionPage
  /** Replies with a `protocol_error`. */
  fail: (connection: Connection, code: ProtocolErrorCode, replyTo?: string, more?: { retryAfterMs: number }) => void
}

type MissionPage = ServerMessages['mission_list']['payload']
type MissionAck = ServerMessages['mission_ack']['payload']
type WhoAmI = ServerMessages['whoami']['payload']

/** A search may read all missions to find none. */
const MIN_LIST_COST = 0.25

/** Carries out what clients ask of one mission. */
export class MissionRequests {
  readonly #deps: MissionRequestsDeps

  constructor (deps: MissionRequestsDeps) {
    this.#deps = deps
  }

  /** The requests that this client may send. */
  offer (connection: Connection): ReturnType<CommandPort['offer']> {
    return this.#deps.commands.offer(this.#callerOf(connection))
  }

  start (connection: Connection, { command, id }: ClientMessages['mission_start']): void {
    this.#deps.commands.start({ command, id, caller: this.#callerOf(connection) }, (outcome) => {
      if (!outcome.accepted) return this.#deps.fail(connection, outcome.code, id)
      this.#acknowledgeMission(connection, { missionId: outcome.missionId, status: 'accepted' }, id)
    })
  }

  get (connection: Connection, { missionId, id }: ClientMessages['mission_get']): void {
    const { envelope, findMission } = this.#deps
    const isAllowed = this.#may(connection, 'subscribe')
    const payload = isAllowed ? findMission(missionId, this.#callerOf(connection)) : undefined
    const isHidden = payload?.endedAt !== undefined && !this.#may(connection, 'replay')
    if (payload === undefined || isHidden) return this.#deps.fail(connection, 'unknown_mission', id)
    connection.outbox.send(envelope.message('mission_update', { payload }, { replyTo: id }))
  }

  /**
   * Yields its cost: the largest page is enough work for one turn of the event loop. A list contains endings from
   * before the subscription, like a replay.
   */
  * list (connection: Connection, { query = {}, id }: ClientMessages['mission_list']): Steps {
    const { envelope, listMissions } = this.#deps
    const isAllowed = this.#may(connection, 'subscribe') && this.#may(connection, 'replay')
    if (!isAllowed) return this.#deps.fail(connection, 'forbidden', id)
    const retryAfterMs = connection.lists.waitMs()
    if (retryAfterMs > 0) return this.#deps.fail(connection, 'too_many_requests', id, { retryAfterMs })
    const cost = Math.max(MIN_LIST_COST, (query.limit ?? PAGE_SIZE.default) / PAGE_SIZE.max)
    connection.lists.charge(cost)
    const payload = listMissions(query, this.#callerOf(connection))
    connection.outbox.send(envelope.message('mission_list', { payload }, { replyTo: id }))
    yield cost * TURN_COST
  }

  cancel (connection: Connection, { missionId, reason, id }: ClientMessages['mission_cancel']): void {
    this.#deps.commands.cancel(missionId, this.#callerOf(connection), reason).then((outcome) => {
      if (!outcome.accepted) return this.#deps.fail(connection, outcome.code, id)
      this.#acknowledgeMission(connection, { missionId, status: 'accepted', action: 'cancel' }, id)
    })
  }

  #may ({ viewer }: Connection, action: 'subscribe' | 'replay'): boolean {
    return this.#deps.access.allows(viewer, { action, channel: 'mission_update' })
  }

  #callerOf ({ viewer, request, id }: Connection): AccessCaller {
    return new AccessCaller(this.#deps.access, viewer, { request, connectionId: id })
  }

  #acknowledgeMission (connection: Connection, payload: MissionAck, replyTo: string | undefined): void {
    connection.outbox.send(this.#deps.envelope.message('mission_ack', { payload }, { replyTo }))
  }
}
