import type { MissionInit, MissionStatus } from '../../schemas/mission.js'
import { isTerminal } from '../../schemas/mission.js'
import { createUnifiedId, type Clock } from '../base/clock.js'
import { Closing, MissionEnded, MissionLive, TenantConflict, TooManyMissions } from '../base/errors.js'
import { checkId } from './input/checks.js'
import { readDetails } from './input/details.js'
import { copyReport, readAttempt, readInit, readReportInit } from './input/init.js'
import type { EndedIds } from './lifetime/ended-ids.js'
import { resolveAttempt, type Registrable } from './lifetime/resolve-attempt.js'
import type { Lineage } from './lineage.js'
import { readSafely } from './payload/json-copy.js'
import type { MissionIndex } from './shared/mission-index.js'
import type { MissionStateDeps } from './state/deps.js'
import type { ReportResult } from './state/lifecycle.js'
import { MissionState } from './state/mission-state.js'
import { checkOrder } from './state/parts/times.js'
import type { MissionGroups } from './tenants/groups.js'
import type { CheckedDetails, CheckedInit, ChildInit, ReportDetails, TextCuts } from './types.js'
import type { Untracked } from './untracked.js'

export interface RegistrationDeps {
  clock: Clock
  cuts: TextCuts
  groups: MissionGroups
  maxActive: number
  /** Registered missions are added to its local ones. */
  index: MissionIndex
  endedIds: EndedIds
  lineage: Lineage
  untracked: Untracked
  stateDeps: MissionStateDeps<MissionState>
  /** The tenant of the client whose start handler is running, if one is. */
  callerTenant: () => string | undefined
  /** Whether no mission can be registered any more. */
  isStopped: () => boolean
  /** A mission was registered, and nothing was reported for it yet. `previous` is the attempt before it. */
  onRegistered: (mission: MissionState, previous: MissionState | undefined) => void
  /** The first report of a registered mission is complete. */
  onStarted: (mission: MissionState) => void
}

/** With several processes, the log numbers missions. Until it has, they count as newer than all others. */
const UNNUMBERED = 2 ** 51

const CANNOT_HOLD = [TooManyMissions, Closing, MissionEnded]

/** Decides which mission a start or a report is about, and registers the missions and attempts that are new. */
export class Registration {
  readonly #deps: RegistrationDeps
  #registered = 0

  constructor (deps: RegistrationDeps) {
    this.#deps = deps
  }

  /** @see Missions.start */
  start (init: string | MissionInit): MissionState {
    const { clock, cuts } = this.#deps
    return this.#start(readInit(init, cuts, clock.now()))
  }

  /** Starts a mission, or returns one that is not tracked and says why: a function of the host must run in any case. */
  startOrDetach (init: string | MissionInit): MissionState {
    try {
      return this.start(init)
    } catch (err) {
      return this.#deps.untracked.create(init, err)
    }
  }

  /** A child of a running mission, whose work must go on if the registry cannot hold the child. */
  startChild (parent: MissionState, init: ChildInit): MissionState {
    const { clock, cuts, untracked } = this.#deps
    const checked = { tenant: parent.tenant ?? undefined, ...readInit(init, cuts, clock.now()), parentId: parent.id }
    try {
      return this.#start(checked)
    } catch (err) {
      if (!CANNOT_HOLD.some((refusal) => err instanceof refusal)) throw err
      return untracked.create(checked, err)
    }
  }

  /** @see Mission.retry */
  retry (ended: MissionState): MissionState {
    const { index, endedIds } = this.#deps
    const { id } = ended
    const newest = index.find(id) ?? ended
    if (!newest.isTerminal) throw new MissionLive()
    // The newest attempt may be forgotten, and the host may still hold the handle of an older one.
    const last = index.find(id) ?? endedIds.find(id) ?? ended
    const resolution = { attempt: last.attempt + 1, lastSeq: last.seq, ended: last.ended, previous: newest }
    return this.#plan(this.#register(id, {}, resolution))
  }

  /** @see Missions.report */
  report (id: string, status: MissionStatus, details: ReportDetails): ReportResult {
    const { clock, cuts, index, endedIds } = this.#deps
    const now = clock.now()
    const checked = readDetails(status, details, cuts, now)
    const known = index.find(id)
    const asked = readAttempt(details)
    const isForeign = known !== undefined && isOfAnother(known, readSafely(details, 'tenant'))
    if (isForeign && (asked === undefined || asked === known.attempt)) return { applied: false, reason: 'unknown' }
    if (known !== undefined && asked === undefined) return known.report(status, checked)
    checkId(id)
    const resolution = resolveAttempt(known, endedIds.find(id), asked)
    if (resolution.action === 'use') return resolution.mission.report(status, checked)
    if (resolution.action === 'stale') return { applied: false, reason: 'stale' }
    if (resolution.action === 'ended') return this.#reportEnded(status, resolution.status)
    const init = { ...readReportInit(details, cuts, now), ...originOf(checked, now) }
    const mission = this.#register(id, init, resolution)
    const result = mission.report(status, checked)
    this.#started(mission)
    return result
  }

  /** @see Missions.waiting */
  waiting (id: string, reason: string, details: ReportDetails): ReportResult {
    const known = this.#deps.index.find(id)
    const asked = readAttempt(details)
    const isCurrent = known !== undefined && (asked === undefined || asked === 'next' || asked === known.attempt)
    if (isCurrent && known.isTerminal && asked !== 'next') return { applied: false, reason: 'terminal' }
    const status = isCurrent && !known.isTerminal ? known.status : 'planning_started'
    return this.report(id, status, { ...copyReport(details), waiting: reason })
  }

  #start ({ id = createUnifiedId('mission'), attempt, ...init }: CheckedInit): MissionState {
    const { index, endedIds } = this.#deps
    const resolution = resolveAttempt(index.find(id), endedIds.find(id), attempt)
    if (resolution.action === 'register') return this.#plan(this.#register(id, init, resolution))
    if (resolution.action !== 'use' || resolution.mission.isTerminal) throw new MissionEnded()
    const { mission } = resolution
    this.#checkTenant(mission, init.tenant)
    if (init.parentId !== undefined) mission.setParent(init.parentId)
    return mission
  }

  // Otherwise a client that chooses the id would work on a mission of another tenant.
  #checkTenant (mission: MissionState, given: string | undefined): void {
    const tenant = given ?? this.#deps.callerTenant()
    if (isOfAnother(mission, tenant)) throw new TenantConflict()
  }

  #plan (mission: MissionState): MissionState {
    mission.report('planning_started', {})
    this.#started(mission)
    return mission
  }

  #started (mission: MissionState): void {
    const { lineage, onStarted, stateDeps: { updates } } = this.#deps
    for (const child of lineage.registered(mission)) {
      // A listener may have ended it.
      if (!child.isTerminal) updates.changed(child, { includesOrigin: true }, false)
    }
    if (mission.parentId !== null && lineage.isCancelled(mission.parentId)) mission.requestCancel('parent')
    onStarted(mission)
  }

  // Everything that can be refused is refused before the mission is registered: nothing of it is left behind.
  #register (id: string, init: CheckedInit, { attempt, lastSeq, ended, previous }: Registrable): MissionState {
    const { index, lineage, stateDeps, groups, callerTenant, onRegistered } = this.#deps
    const parentId = init.parentId ?? previous?.parentId ?? null
    const checkParent = () => {
      if (parentId !== null) lineage.check(id, index.read(id)?.parentId ?? null, parentId)
    }
    checkParent()
    const related = previous ?? index.read(parentId ?? '')
    const tenant = init.tenant ?? (related === undefined ? callerTenant() : related.tenant) ?? undefined
    this.#checkRoom(previous, tenant)
    const number = (index.shared === undefined ? 0 : UNNUMBERED) + ++this.#registered
    previous?.supersede()
    const own = { id, number, attempt, init: { ...init, tenant }, isTracked: true }
    const identity = { ...own, ended, ...earlierOf(tenant, previous) }
    const mission = new MissionState(stateDeps, { ...identity, lastSeq: Math.max(lastSeq, previous?.seq ?? 0) })
    // Ending the attempt before it and reading the objective ran code of the host, which may have started this one, or
    // another one before it, or have moved the parent.
    if ((index.read(id) ?? previous)?.attempt !== previous?.attempt) {
      const meanwhile = index.find(id)!
      if (meanwhile.attempt >= attempt) return meanwhile
      return this.#register(id, init, { attempt, lastSeq, ended: meanwhile.ended, previous: meanwhile })
    }
    checkParent()
    // Removed first, so that the newest mission is the last one.
    index.local.delete(id)
    index.local.set(id, mission)
    groups.started(mission)
    if (parentId !== null) lineage.add(mission, parentId)
    onRegistered(mission, previous)
    return mission
  }

  #checkRoom (previous: MissionState | undefined, tenant: string | undefined): void {
    const { groups, maxActive, isStopped } = this.#deps
    if (isStopped()) throw new Closing()
    if (groups.all.totals.active < maxActive || previous?.isTerminal === false) return
    groups.totals(tenant ?? null).refused()
    throw new TooManyMissions(maxActive)
  }

  #reportEnded (status: MissionStatus, ended: MissionStatus): ReportResult {
    if (status === ended) return { applied: false, reason: 'repeated' }
    if (isTerminal(status)) this.#deps.groups.all.totals.lateOutcome()
    return { applied: false, reason: 'terminal' }
  }
}

// A mission without a tenant may be of any.
const isOfAnother = (mission: MissionState, tenant: unknown): boolean =>
  typeof tenant === 'string' && mission.tenant !== null && mission.tenant !== tenant

// An attempt in another tenant takes nothing over.
function earlierOf (tenant: string | undefined, previous: MissionState | undefined) {
  const isForeign = previous !== undefined && previous.tenant !== (tenant ?? null)
  return isForeign ? { previous: undefined, ended: 0 } : { previous }
}

// A mission whose end is the first that is known of it has not started after that.
function originOf ({ parentId, times }: CheckedDetails, now: number): CheckedInit {
  const queuedAt = times?.queuedAt
  const startedAt = times?.startedAt ?? times?.endedAt
  checkOrder({ queuedAt: queuedAt ?? null, startedAt: startedAt ?? now }, times?.endedAt)
  return { parentId, queuedAt, startedAt }
}
