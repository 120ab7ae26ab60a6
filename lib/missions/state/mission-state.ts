import {
  isTerminal, type CancelKind, type CancelState, type MissionError, type MissionStatus, type MissionView,
  type TerminalStatus
} from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import type { Mission } from '../mission.js'
import type {
  CancelRequest, CancelResult, CheckedDetails, ChildInit, MissionLog, MissionOutcome, MissionStep, ReportedTimes,
  TextCuts
} from '../types.js'
import { abortWith, askAll, createCancelState, type Asked } from './cancel-state.js'
import type { MissionStateDeps } from './deps.js'
import { EndListeners } from './end-listeners.js'
import { APPLIED, judge, runsHostCode, type Refusal, type ReportResult } from './lifecycle.js'
import { MissionRecord, type MissionIdentity } from './mission-record.js'
import { Notes } from './notes.js'
import { prepare, type Prepared } from './prepare.js'
import { mergeTimes } from './times.js'
import { toView } from './view.js'

/**
 * The state of one mission and the only place that changes it. Input was checked by the caller. A change is complete
 * (status, times, totals) before it is emitted, and `updates.changed` is called once for it. The public fields are
 * written by this class alone.
 */
export class MissionState extends MissionRecord {
  readonly #deps: MissionStateDeps<MissionState>
  #abort: AbortController | undefined
  #log: MissionLog | undefined
  #endListeners: EndListeners | undefined
  #handle: Mission | undefined

  constructor (deps: MissionStateDeps<MissionState>, identity: MissionIdentity) {
    super(identity, deps.clock, deps.payloads)
    this.#deps = deps
  }

  /** What the host holds; always the same object. */
  get handle (): Mission { return (this.#handle ??= this.#deps.createHandle(this)) }
  // The controller is created on first use: most missions end without anybody ever reading their signal.
  get signal (): AbortSignal {
    this.#abort ??= this.isCancelRequested ? abortWith(this.cancel!) : new AbortController()
    return this.#abort.signal
  }

  get cuts (): TextCuts { return this.#deps.cuts }
  get clock (): Clock { return this.#deps.clock }
  get log (): MissionLog { return (this.#log ??= this.#deps.makeLog(this.id)) }
  get #listeners (): EndListeners { return (this.#endListeners ??= new EndListeners()) }
  get done (): Promise<MissionOutcome> { return this.#listeners.done(this.outcome) }
  onEnd (listener: (outcome: MissionOutcome) => void): () => void { return this.#listeners.add(listener) }
  view (): MissionView { return toView(this) }

  /** @throws FST_MC_INVALID_TIME, FST_MC_INVALID_PARENT, before anything has changed */
  report (status: MissionStatus, details: CheckedDetails): ReportResult {
    let refusal = this.#judge(status, details)
    const wasResting = this.#showActivity(details.waiting === this.waiting ? this.waiting : null)
    let prepared: Prepared | undefined
    if (refusal === undefined && runsHostCode(status, details)) {
      const { payloads, updates } = this.#deps
      prepared = prepare(details, this.metadata, payloads, updates.isObserved(this))
      if (isTerminal(status)) updates.flush(this)
      // Judged again: serializers and listeners of the host may have moved the mission on.
      refusal = this.#judge(status, details)
    }
    if (refusal === undefined) return this.#apply(status, details, prepared ?? { step: {} })
    if (refusal === 'terminal' && isTerminal(status)) {
      this.lateOutcome ??= status
      this.#deps.totals(this.tenant).lateOutcome()
    } else if (refusal === 'backward' && this.keepMissing(details.times)) this.#changed({ includesOrigin: true }, false)
    else if (wasResting && this.outcome === undefined) this.#changed({}, true)
    return { applied: false, reason: refusal }
  }

  startChild (init: ChildInit): MissionState { return this.#deps.registry.startChild(this, init) }
  retry (): MissionState { return this.#deps.registry.retry(this) }
  extendTimeout (ms: number): void { this.#deps.registry.extendTimeout(this, ms) }

  annotate (metadata: unknown): void {
    const merged = this.#deps.payloads.metadata(this.metadata, metadata)
    if (this.outcome !== undefined) return
    this.#showActivity()
    this.metadata = merged
    this.#changed({ includesMetadata: true }, true)
  }

  /** Adds a note, which does not end a wait: it may be about it. */
  note (text: string, data: unknown): ReportResult {
    if (this.outcome !== undefined) return { applied: false, reason: 'terminal' }
    this.#showActivity(this.waiting)
    this.#changed({ note: (this.notes ??= new Notes()).add(text, data, this.#deps.clock.now()) }, false)
    return APPLIED
  }

  /** @throws FST_MC_INVALID_PARENT */
  setParent (parentId: string): ReportResult {
    if (this.outcome !== undefined) return { applied: false, reason: 'terminal' }
    if (this.parentId === parentId) return { applied: false, reason: 'repeated' }
    this.#deps.registry.checkParent(this, parentId)
    this.#showActivity()
    const step: MissionStep = {}
    const isCancelled = this.#link(parentId, step)
    this.#changed(step, false)
    if (isCancelled) this.requestCancel('parent')
    return APPLIED
  }

  heartbeat (): void { if (this.#showActivity()) this.#changed({}, true) }

  /** Pauses stall detection of an active mission until the next sign of activity. */
  wait (reason: string): void {
    this.#showActivity()
    this.waiting = reason
    this.#changed({}, true)
  }

  requestCancel (kind: CancelKind, request: CancelRequest = {}): CancelResult {
    if (this.outcome !== undefined) return 'terminal'
    if (this.cancel !== null) return 'already_requested'
    askAll(this.#ask(kind, request), (child) =>
      child.isTerminal || child.cancel !== null ? undefined : child.#ask('parent', {}))
    return 'requested'
  }

  #ask (kind: CancelKind, request: CancelRequest): Asked<MissionState> {
    const cancel = createCancelState(kind, request)
    const controller = this.#abort
    this.cancel = cancel
    this.isCancelRequested = true
    const children = this.#deps.registry.cancelRequested(this, kind)
    this.#changed({ includesCancel: true }, false)
    return { children, abort: () => { if (controller !== undefined) abortWith(cancel, controller) } }
  }

  /** Ends a mission whose grace period after a cancel request is over. */
  force (): void {
    if (this.outcome === undefined && this.cancel !== null) this.#forceCancelled({ ...this.cancel, forced: true })
  }

  /** Ends this attempt, because a newer one has started. */
  supersede (): void {
    const abort = this.#abort
    const cancel = this.cancel ?? createCancelState('superseded', { reason: 'A newer attempt has started' })
    this.#forceCancelled(cancel)
    abortWith(cancel, this.#abort = abort ?? new AbortController())
  }

  flagStalled (): void {
    this.isStalled = true
    this.#deps.totals(this.tenant).stalled(true)
    this.#changed({}, false)
  }

  /**
   * Ends a stalled mission as `error`. Its function may still run and can no longer be cancelled, so its signal aborts.
   */
  endStalled (error: MissionError): void {
    const abort = this.#abort
    if (!this.report('error', { error }).applied) return
    this.isForced = true
    // Kept, so that a signal that is read from now on is aborted too.
    this.#abort = abort ?? new AbortController()
    abortWith(createCancelState('stall', { reason: error.message }), this.#abort)
  }

  // A report that is refused anyway is not judged by its details: it may be late, or delivered twice.
  #judge (status: MissionStatus, details: CheckedDetails): Refusal | undefined {
    const refusal = judge(this.isReported ? this.status : undefined, status, this.isNews(details))
    const { parentId, times } = details
    if (refusal === undefined && times !== undefined) mergeTimes(this, times, this.isStartReported)
    if (refusal === undefined && parentId !== undefined) this.#deps.registry.checkParent(this, parentId)
    return refusal
  }

  #apply (status: MissionStatus, details: CheckedDetails, prepared: Prepared): ReportResult {
    const previousStatus = this.isReported ? this.status : undefined
    this.status = status
    const { step } = prepared
    this.keep(details, prepared)
    const isCancelled = details.parentId !== undefined && this.#link(details.parentId, step)
    if (isTerminal(status)) this.#end(status, previousStatus, details.times)
    // A new status is emitted at once; only further details can wait.
    if (previousStatus === status) this.#changed(step, step.includesOrigin !== true)
    else this.#changed(previousStatus === undefined ? step : { ...step, previousStatus }, false)
    if (this.outcome !== undefined) this.#settle(this.outcome)
    else if (isCancelled) this.requestCancel('parent')
    return APPLIED
  }

  // Returns whether the new parent was asked to end.
  #link (parentId: string, step: MissionStep): boolean {
    if (this.parentId === parentId) return false
    step.includesOrigin = true
    this.parentId = parentId
    return this.#deps.registry.linked(this, parentId)
  }

  #forceCancelled (cancel: CancelState): void {
    this.#deps.updates.flush(this)
    // A listener of what was flushed may have ended it.
    if (this.isTerminal) return
    this.cancel = Object.freeze(cancel)
    this.isForced = true
    this.#apply('cancelled', {}, { step: {} })
  }

  #end (status: TerminalStatus, previousStatus: MissionStatus | undefined, times: ReportedTimes | undefined): void {
    const { clock, registry } = this.#deps
    const { id, attempt, error, cancel } = this
    this.statusBeforeEnd = previousStatus
    const endedAt = this.endedAt = times?.endedAt ?? clock.now()
    // The wall clock may jump, so it measures only what the host has reported by it.
    const isReported = this.isStartReported || times?.endedAt !== undefined
    const durationMs = isReported ? Math.max(0, endedAt - this.startedAt) : clock.monotonic() - this.startedMonotonic
    this.outcome = Object.freeze({ id, attempt, status, error, cancel, durationMs })
    this.#clearStall()
    registry.ended(this, this.outcome)
  }

  // An ended mission is kept for long, and what only its function needed is a large part of it.
  #settle (outcome: MissionOutcome): void {
    const listeners = this.#endListeners
    this.#abort = this.#log = undefined
    this.#deps.registry.settled(this)
    listeners?.settle(outcome, this.#deps.onListenerError)
  }

  // `waiting` is what it still waits for. Returns whether this is a change, which the caller must emit.
  #showActivity (waiting: string | null = null): boolean {
    if (this.outcome !== undefined) return false
    this.activeMonotonic = this.#deps.clock.monotonic()
    if (!this.isStalled && this.waiting === waiting) return false
    this.#clearStall()
    this.waiting = waiting
    return true
  }

  #clearStall (): void {
    this.waiting = null
    if (!this.isStalled) return
    this.isStalled = false
    this.#deps.totals(this.tenant).stalled(false)
  }

  #changed (step: MissionStep, isReplaceable: boolean): void {
    this.updatedAt = this.#deps.clock.now()
    this.#deps.updates.changed(this, step, isReplaceable)
  }
}
