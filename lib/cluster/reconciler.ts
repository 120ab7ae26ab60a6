import type { MissionStatus } from '../../schemas/mission.js'
import type { LogBatch, MissionEntry, Verdict } from '../backplane/contract.js'
import {
  EndedElsewhereError, isBackward, SharedMission, toMissionCopy, type MissionRegistry, type MissionState
} from '../missions/index.js'
import type { PendingStep } from './log/steps.js'
import type { Membership } from './membership.js'
import type { Picture, PictureChange } from './picture/picture.js'

export interface ReconcilerDeps {
  registry: MissionRegistry
  picture: Picture
  membership: Membership
  /** Tells the others of a mission what clients do not need to know. */
  tell: (mission: MissionState) => void
  /** Sends a step again, because the mission has moved on meanwhile. */
  resend: (mission: MissionState) => void
}

/**
 * Brings the missions of this process in line with the log: what others have reported is taken over, and what the log
 * has refused is undone. Own reports apply here at once, so a mission may be ahead of the log.
 */
export class Reconciler {
  readonly #deps: ReconcilerDeps
  /** How many steps of a mission were not read back from the log yet. */
  readonly #unread = new Map<MissionState, number>()
  /** The same missions by id and attempt: the registry may have forgotten them, or have others in their place. */
  readonly #sent = new Map<string, Set<MissionState>>()
  /** The last batch of each own instance that was read. */
  readonly #lastRead = new Map<string, number>()
  /** Missions that others have moved on beyond the status of their last step, which was refused. */
  readonly #outdated = new Map<MissionState, { readonly status: MissionStatus, readonly isStart: boolean }>()

  constructor (deps: ReconcilerDeps) {
    this.#deps = deps
  }

  /** A step of the mission will be sent. */
  sent (mission: MissionState): void {
    const unread = this.#unread.get(mission)
    this.#unread.set(mission, (unread ?? 0) + 1)
    if (unread !== undefined) return
    const key = keyOf(mission)
    const missions = this.#sent.get(key)
    if (missions === undefined) this.#sent.set(key, new Set([mission]))
    else missions.add(mission)
  }

  /** Whether a batch of this process was read back from the log. */
  hasRead (instance: string, number: number): boolean {
    return (this.#lastRead.get(instance) ?? 0) >= number
  }

  /** Steps of the mission were dropped before they were sent, and will not be read back. */
  forget (mission: MissionState): void {
    this.#unread.delete(mission)
    const key = keyOf(mission)
    const missions = this.#sent.get(key)
    missions?.delete(mission)
    if (missions?.size === 0) this.#sent.delete(key)
  }

  isPending (mission: MissionState): boolean { return this.#unread.has(mission) }

  /**
   * Only these steps are still on their way. `isLossy`: the log has lost steps, so that a mission may be ahead of it;
   * `undefined` if the log was not loaded again.
   */
  reload (steps: readonly PendingStep[], isLossy?: boolean): void {
    const before = [...this.#sent.values()].flatMap((missions) => [...missions])
    this.#unread.clear()
    this.#sent.clear()
    for (const { mission } of steps) if (mission !== undefined) this.sent(mission)
    if (isLossy === undefined) return
    const { registry, picture } = this.#deps
    for (const mission of new Set([...before, ...registry.index.local.values()])) {
      const shared = picture.find(mission.id)
      if (shared !== undefined && !(isLossy && isAhead(mission, shared))) this.#reconcile(mission, shared, true)
    }
  }

  /** The log has judged steps. */
  judged (steps: readonly PendingStep[], verdicts: readonly Verdict[]): void {
    for (const [index, { mission, update, isStart }] of steps.entries()) {
      const verdict = verdicts[index]
      if (mission === undefined || verdict === undefined || verdict === 'applied') continue
      this.#read(mission)
      if (verdict === 'backward' && update !== undefined) {
        this.#outdated.set(mission, { status: update.status, isStart })
      }
      // If the log was not read so far, the entry that decided it comes later.
      const shared = this.#deps.picture.find(mission.id)
      if (shared !== undefined) this.#reconcile(mission, shared, true)
    }
  }

  /** A batch of the log was taken over. */
  follow ({ instance, number }: LogBatch, changes: readonly PictureChange[]): void {
    const { registry, membership } = this.#deps
    const isOwn = membership.isOwn(instance)
    if (isOwn) this.#lastRead.set(instance, number)
    else membership.seen(instance)
    const touched = new Map<MissionState, SharedMission>()
    for (const { entry, mission: shared, replaced } of changes) {
      if (entry.kind !== 'mission' || shared === undefined) continue
      if (replaced !== undefined) this.#settleSent(replaced)
      const missions = this.#sent.get(keyOf(entry))
      for (const sent of missions === undefined ? [] : [...missions]) {
        if (isOwn) this.#read(sent)
        touched.set(sent, shared)
      }
      const local = registry.index.local.get(entry.id)
      if (local !== undefined) touched.set(local, shared)
      if (entry.update.includes('"cancel":') && shared.isCancelRequested) this.#cancelChildren(entry)
    }
    for (const [mission, shared] of touched) this.#reconcile(mission, shared, !isOwn)
  }

  #read (mission: MissionState): void {
    const unread = (this.#unread.get(mission) ?? 1) - 1
    if (unread > 0) this.#unread.set(mission, unread)
    else if (mission.isTerminal && !mission.isStored) this.#unread.delete(mission)
    else this.forget(mission)
  }

  // This is the last moment at which the picture has the ending of an attempt.
  #settleSent (replaced: SharedMission): void {
    if (!replaced.isTerminal) return
    for (const mission of [...this.#sent.get(keyOf(replaced)) ?? []]) this.#ended(mission, replaced)
  }

  #reconcile (mission: MissionState, shared: SharedMission, isForeign: boolean): void {
    if (isOfAnother(mission, shared)) {
      // Two processes have used one id for two tenants at the same time, and the other one was first.
      mission.supersede()
      return mission.settleStored()
    }
    if (shared.attempt < mission.attempt) return
    if (shared.attempt > mission.attempt) return this.#replaced(mission, shared)
    mission.number = shared.number
    mission.instance = shared.owner
    if (shared.isTerminal) this.#ended(mission, shared)
    else if (isForeign) this.#followed(mission, shared)
    if (!mission.isTerminal && this.#deps.membership.isOwn(shared.owner)) this.#deps.registry.watchGrace(mission)
    // Nothing follows an ending, so its number is final even if refused steps are still on their way.
    if (shared.isTerminal || !this.isPending(mission)) mission.renumber(shared.seq)
  }

  // A step of an earlier status was refused. Its details are sent with the present status; a start has none that count.
  #followed (mission: MissionState, shared: SharedMission): void {
    const refused = this.#outdated.get(mission)
    mission.follow(shared, refused === undefined ? this.isPending(mission) : !refused.isStart)
    if (refused === undefined || !isBackward(shared.status, refused.status)) return
    this.#outdated.delete(mission)
    this.#deps.resend(mission)
  }

  #ended (mission: MissionState, shared: SharedMission): void {
    this.#outdated.delete(mission)
    const isSame = mission.isTerminal && mission.status === shared.status
    if (!isSame) {
      mission.endAs(shared, new EndedElsewhereError(shared.outcome))
      this.#correctHistory(mission)
    }
    mission.settleStored()
    if (!this.isPending(mission)) this.forget(mission)
  }

  // A newer attempt of this process may have the ending in its history that this attempt had before.
  #correctHistory (mission: MissionState): void {
    const newest = this.#deps.registry.index.local.get(mission.id)
    if (newest !== undefined && newest !== mission && newest.correctAttempt(mission)) this.#deps.tell(newest)
  }

  // A newer attempt is known; the history has the ending of this one.
  #replaced (mission: MissionState, newer: SharedMission): void {
    if (mission.isStored) return
    const isKnown = newer.history.attempts.some(({ attempt }) => attempt === mission.attempt)
    if (isKnown || !mission.isTerminal) return this.#ended(mission, pastAttempt(mission, newer))
    mission.settleStored()
    this.forget(mission)
  }

  // The parent runs in another process, or was cancelled there.
  #cancelChildren ({ id }: MissionEntry): void {
    const { registry, picture, membership } = this.#deps
    for (const child of registry.childrenOf(id)) {
      const owner = picture.find(child.id)?.owner
      if (owner === undefined || membership.isOwn(owner)) child.requestCancel('parent')
    }
  }
}

const keyOf = ({ id, attempt }: { id: string, attempt: number }): string => `${attempt} ${id}`

const isAhead = (mission: MissionState, { attempt, isTerminal, seq }: SharedMission): boolean =>
  mission.attempt === attempt && !isTerminal && mission.seq > seq

const isOfAnother = (mission: MissionState, { tenant }: SharedMission): boolean =>
  tenant !== null && mission.tenant !== null && tenant !== mission.tenant

const SUPERSEDED = Object.freeze({ requested: true, kind: 'superseded', reason: null, by: null } as const)

function pastAttempt (mission: MissionState, newer: SharedMission): SharedMission {
  const past = newer.history.attempts.find(({ attempt }) => attempt === mission.attempt)
  const { status = 'cancelled', endedAt = newer.startedAt, error = null, cancel = SUPERSEDED } = past ?? {}
  const durationMs = past?.durationMs ?? Math.max(0, endedAt - mission.startedAt)
  const copy = {
    ...toMissionCopy(mission, true),
    endedAt,
    durationMs,
    statusBeforeEnd: mission.status,
    ...(error !== null && { error }),
    ...(cancel !== null && { cancel })
  }
  const { id, tenant, number, sequence, owner, isRun, offset, tenantOffset, seq } = newer
  return new SharedMission({
    id,
    tenant,
    attempt: mission.attempt,
    status,
    seq,
    owner,
    isRun,
    startedAt: number,
    sequence,
    offset,
    tenantOffset,
    state: JSON.stringify(copy)
  }, newer.showsParent)
}
