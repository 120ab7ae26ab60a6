import type { CancelCall, CancelReply } from '../../schemas/cluster/messages.js'
import type { CancelKind } from '../../schemas/mission.js'
import { createUnifiedId, type Clock, type Timer } from '../base/clock.js'
import type {
  CancelAnswer, CancelRequest, CancelResult, MissionRegistry, MissionState, SharedMission
} from '../missions/index.js'
import type { Membership } from './membership.js'
import type { Picture } from './picture/picture.js'

/** How long the process that runs a mission may take to answer. */
const ANSWER_MS = 1_000

export interface CancelsDeps {
  clock: Clock
  registry: MissionRegistry
  picture: Picture
  membership: Membership
  send: (to: string, message: CancelCall | CancelReply) => Promise<void>
}

interface Waiting { readonly timer: Timer, readonly resolve: (answer: CancelAnswer) => void }

/** Passes cancel requests on to the processes that run the missions, and carries out those of others. */
export class Cancels {
  readonly #deps: CancelsDeps
  readonly #waiting = new Map<string, Waiting>()
  #isAnswering = false

  constructor (deps: CancelsDeps) {
    this.#deps = deps
  }

  /** @see SharedMissions.forwardCancel */
  forward (mission: MissionState, kind: CancelKind, request: CancelRequest): Promise<CancelAnswer> | undefined {
    if (this.#isAnswering) return undefined
    const shared = this.#findElsewhere(mission)
    if (shared === undefined) return undefined
    if (this.#deps.membership.isAlive(shared.owner)) return this.#ask(shared.owner, mission, kind, request)
    // Nobody runs it: the request is carried out here. Or it ends as lost with its process.
    return shared.isRun ? Promise.resolve('owner_unavailable') : undefined
  }

  /** The other process that owns the mission, if it is alive. */
  findOwner (mission: MissionState): string | undefined {
    const owner = this.#findElsewhere(mission)?.owner
    return owner !== undefined && this.#deps.membership.isAlive(owner) ? owner : undefined
  }

  /** Carries out a request of another process. */
  async answer ({ call, from, missionId, attempt, kind, reason, by }: CancelCall): Promise<void> {
    const mission = this.#deps.registry.find(missionId)
    const result = mission?.attempt === attempt ? this.#carryOut(mission, kind, { reason, by }) : 'not_found'
    await this.#deps.send(from, { type: 'cancelled', call, result })
  }

  // A mission that another process owns, dead or alive.
  #findElsewhere ({ id, attempt }: MissionState): SharedMission | undefined {
    const { picture, membership } = this.#deps
    const shared = picture.find(id)
    return shared?.attempt !== attempt || membership.isOwn(shared.owner) ? undefined : shared
  }

  // Not passed on once more: two processes that each take the other one for the owner would never stop.
  #carryOut (mission: MissionState, kind: CancelKind, request: CancelRequest): CancelResult {
    this.#isAnswering = true
    try {
      return mission.requestCancel(kind, request)
    } finally {
      this.#isAnswering = false
    }
  }

  answered ({ call, result }: CancelReply): void {
    this.#settle(call, result)
  }

  close (): void {
    for (const call of [...this.#waiting.keys()]) this.#settle(call, 'owner_unavailable')
  }

  async #ask (
    owner: string, { id, attempt }: MissionState, kind: CancelKind, { reason, by }: CancelRequest
  ): Promise<CancelAnswer> {
    const { clock, membership, send } = this.#deps
    const call = createUnifiedId('call')
    const from = membership.instance.id
    return await new Promise<CancelAnswer>((resolve) => {
      const timer = clock.after(ANSWER_MS, () => this.#settle(call, 'owner_unavailable'))
      this.#waiting.set(call, { timer, resolve })
      const request = { ...(reason !== undefined && { reason }), ...(by !== undefined && { by }) }
      send(owner, { type: 'cancel', call, from, missionId: id, attempt, kind, ...request })
        .catch(() => this.#settle(call, 'owner_unavailable'))
    })
  }

  #settle (call: string, answer: CancelAnswer): void {
    const waiting = this.#waiting.get(call)
    this.#waiting.delete(call)
    waiting?.timer.cancel()
    waiting?.resolve(answer)
  }
}
