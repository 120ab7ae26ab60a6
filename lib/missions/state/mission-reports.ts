import {
  isTerminal, type CancelKind, type MissionStatus, type TerminalStatus
} from '../../../schemas/mission.js'
import type {
  CancelRequest, CancelResult, CheckedDetails, MissionOutcome, MissionStep, ReportedTimes
} from '../types.js'
import type { MissionStateDeps } from './deps.js'
import { APPLIED, judge, runsHostCode, type Refusal, type ReportResult } from './lifecycle.js'
import type { MissionIdentity } from './mission-fields.js'
import { MissionRecord } from './mission-record.js'
import { Notes } from './parts/notes.js'
import { reach } from './parts/status-times.js'
import { mergeTimes } from './parts/times.js'
import { prepare, type Prepared } from './prepare.js'

/**
 * Applies what is reported of one mission. Input was checked by the caller. A change is complete (status, times,
 * totals) before it is emitted, and `updates.changed` is called once for it. `State` is the whole class.
 */
export abstract class MissionReports<State> extends MissionRecord {
  protected readonly deps: MissionStateDeps<State>

  constructor (deps: MissionStateDeps<State>, identity: MissionIdentity) {
    super(identity, deps.clock, deps.payloads)
    this.deps = deps
  }

  /** This object, of its own class. */
  protected abstract get self (): State
  abstract requestCancel (kind: CancelKind, request?: CancelRequest): CancelResult
  /** The ending is complete, and its update was built. */
  protected abstract settle (outcome: MissionOutcome): void

  /** @throws FST_MC_INVALID_TIME, FST_MC_INVALID_PARENT, before anything has changed */
  report (status: MissionStatus, details: CheckedDetails): ReportResult {
    let refusal = this.#judge(status, details)
    const wasResting = this.showActivity(details.waiting === this.waiting ? this.waiting : null)
    let prepared: Prepared | undefined
    if (refusal === undefined && runsHostCode(status, details)) {
      const { payloads, updates } = this.deps
      prepared = prepare(details, this.metadata, payloads, updates.isObserved(this.self))
      if (isTerminal(status)) updates.flush(this.self)
      // Judged again: serializers and listeners of the host may have moved the mission on.
      refusal = this.#judge(status, details)
    }
    if (refusal === undefined) return this.apply(status, details, prepared ?? { step: {} })
    if (refusal === 'terminal' && isTerminal(status)) {
      this.lateOutcome ??= status
      this.deps.totals(this.tenant).lateOutcome()
    } else if (refusal === 'backward' && this.keepMissing(details.times)) this.changed({ includesOrigin: true }, false)
    else if (wasResting && this.outcome === undefined) this.changed({}, true)
    return { applied: false, reason: refusal }
  }

  annotate (metadata: unknown): void {
    const merged = this.deps.payloads.metadata(this.metadata, metadata)
    if (this.outcome !== undefined) return
    this.showActivity()
    this.metadata = merged
    this.changed({ includesMetadata: true }, true)
  }

  /** Adds a note, which does not end a wait: it may be about it. */
  note (text: string, data: unknown): ReportResult {
    if (this.outcome !== undefined) return { applied: false, reason: 'terminal' }
    this.showActivity(this.waiting)
    this.changed({ note: (this.notes ??= new Notes()).add(text, data, this.deps.clock.now()) }, false)
    return APPLIED
  }

  /** @throws FST_MC_INVALID_PARENT */
  setParent (parentId: string): ReportResult {
    if (this.outcome !== undefined) return { applied: false, reason: 'terminal' }
    if (this.parentId === parentId) return { applied: false, reason: 'repeated' }
    this.deps.registry.checkParent(this.self, parentId)
    this.showActivity()
    const step: MissionStep = {}
    const isCancelled = this.#link(parentId, step)
    this.changed(step, false)
    if (isCancelled) this.requestCancel('parent')
    return APPLIED
  }

  heartbeat (): void { if (this.showActivity()) this.changed({}, true) }

  /** Pauses stall detection of an active mission until the next sign of activity. */
  wait (reason: string): void {
    this.showActivity()
    this.waiting = reason
    this.changed({}, true)
  }

  // A report that is refused anyway is not judged by its details: it may be late, or delivered twice.
  #judge (status: MissionStatus, details: CheckedDetails): Refusal | undefined {
    const refusal = judge(this.isReported ? this.status : undefined, status, this.isNews(details))
    const { parentId, times } = details
    if (refusal === undefined && times !== undefined) mergeTimes(this, times, this.isStartReported)
    if (refusal === undefined && parentId !== undefined) this.deps.registry.checkParent(this.self, parentId)
    return refusal
  }

  protected apply (status: MissionStatus, details: CheckedDetails, prepared: Prepared): ReportResult {
    const previousStatus = this.isReported ? this.status : undefined
    if (previousStatus !== undefined && previousStatus !== status && !isTerminal(status)) {
      this.reached = reach(this.reached, previousStatus, status, this.deps.clock.now())
    }
    this.status = status
    const { step } = prepared
    this.keep(details, prepared, this.deps.clock)
    const isCancelled = details.parentId !== undefined && this.#link(details.parentId, step)
    if (isTerminal(status)) this.#end(status, previousStatus, details.times)
    // A new status is emitted at once; only further details can wait.
    if (previousStatus === status) this.changed(step, step.includesOrigin !== true)
    else this.changed(previousStatus === undefined ? step : { ...step, previousStatus }, false)
    if (this.outcome !== undefined) this.settle(this.outcome)
    else if (isCancelled) this.requestCancel('parent')
    return APPLIED
  }

  // Returns whether the new parent was asked to end.
  #link (parentId: string, step: MissionStep): boolean {
    if (this.parentId === parentId) return false
    step.includesOrigin = true
    this.parentId = parentId
    return this.deps.registry.linked(this.self, parentId)
  }

  #end (status: TerminalStatus, previousStatus: MissionStatus | undefined, times: ReportedTimes | undefined): void {
    const { clock, registry } = this.deps
    const outcome = this.outcome = this.finish(status, previousStatus, times, clock)
    this.clearStall()
    registry.ended(this.self, outcome)
  }

  // `waiting` is what it still waits for. Returns whether this is a change, which the caller must emit.
  protected showActivity (waiting: string | null = null): boolean {
    if (this.outcome !== undefined) return false
    this.activeMonotonic = this.deps.clock.monotonic()
    if (!this.isStalled && this.waiting === waiting) return false
    this.clearStall()
    this.waiting = waiting
    return true
  }

  protected clearStall (): void {
    this.waiting = null
    if (!this.isStalled) return
    this.isStalled = false
    this.deps.totals(this.tenant).stalled(false)
  }

  protected changed (step: MissionStep, isReplaceable: boolean): void {
    this.updatedAt = this.deps.clock.now()
    this.deps.updates.changed(this.self, step, isReplaceable)
  }
}
