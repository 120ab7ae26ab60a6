import {
  isTerminal, type CancelKind, type MissionError, type MissionInit, type MissionStatus, type TerminalStatus
} from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import { callGuarded } from '../../base/promises.js'
import type { Mission } from '../mission.js'
import type { Totals } from '../totals.js'
import {
  CancelledError, type CancelRequest, type CancelResult, type CheckedDetails, type MissionDetails, type MissionLog,
  type MissionOutcome, type MissionStep
} from '../types.js'
import type { Payloads } from '../payload/payload.js'
import { createCancelState, cutReason } from './cancel-state.js'
import { judge, runsHostCode, type Refusal, type ReportResult } from './lifecycle.js'
import { MissionRecord, type MissionIdentity } from './mission-record.js'

/** What all missions of one registry share. Every call is synchronous. */
export interface MissionStateDeps {
  clock: Clock
  totals: Totals
  payloads: Payloads
  updates: {
    readonly hasListeners: boolean
    /** A change is complete. `isReplaceable`: a newer change of the same kind may take its place before it is sent. */
    changed (state: MissionState, step: MissionStep, isReplaceable: boolean): void
    /** Emits what the progress limit still holds back. */
    flush (state: MissionState): void
  }
  registry: {
    startChild (parent: MissionState, init: string | Omit<MissionInit, 'id'>): MissionState
    /** Starts the grace period and returns the active children, which are asked to end next. */
    cancelRequested (state: MissionState, kind: CancelKind): MissionState[]
    ended (state: MissionState, outcome: MissionOutcome): void
    extendTimeout (state: MissionState, ms: number): void
  }
  createHandle (state: MissionState): Mission
  makeLog (id: string): MissionLog
  onListenerError (err: unknown): void
}

interface Prepared { error: MissionError | undefined, step: MissionStep }

const APPLIED: ReportResult = Object.freeze({ applied: true })

/**
 * The state of one mission and the only place that changes it. Input was checked by the caller. A change is complete
 * (status, times, totals) before it is emitted, and `updates.changed` is called once for it. The public fields are
 * written by this class alone.
 */
export class MissionState extends MissionRecord {
  readonly #deps: MissionStateDeps
  #isReported = false
  #abort: AbortController | undefined
  #log: MissionLog | undefined
  #done: Promise<MissionOutcome> | undefined
  #endListeners: Set<(outcome: MissionOutcome) => void> | undefined
  #handle: Mission | undefined

  constructor (deps: MissionStateDeps, identity: MissionIdentity) {
    super(identity, deps.clock, deps.payloads)
    this.#deps = deps
  }

  /** What the host holds; always the same object. */
  get handle (): Mission { return (this.#handle ??= this.#deps.createHandle(this)) }

  // The controller is created on first use: most missions end without anybody ever reading their signal.
  get signal (): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.isCancelRequested) this.#abort.abort(new CancelledError(this.cancel!))
    }
    return this.#abort.signal
  }

  get log (): MissionLog { return (this.#log ??= this.#deps.makeLog(this.id)) }

  get done (): Promise<MissionOutcome> {
    return (this.#done ??= this.outcome !== undefined
      ? Promise.resolve(this.outcome)
      : new Promise((resolve) => { this.onEnd(resolve) }))
  }

  onEnd (listener: (outcome: MissionOutcome) => void): () => void {
    const listeners = (this.#endListeners ??= new Set())
    listeners.add(listener)
    return () => { listeners.delete(listener) }
  }

  report (status: MissionStatus, details: CheckedDetails): ReportResult {
    const wasResting = this.#showActivity()
    let prepared: Prepared = { error: undefined, step: details }
    let refusal = this.#judge(status, details)
    if (refusal === undefined && runsHostCode(status, details)) {
      prepared = this.#prepare(status, details)
      // Judged again: serializers and listeners of the host may have moved the mission on.
      refusal = this.#judge(status, details)
    }
    if (refusal === undefined) return this.#apply(status, details, prepared)
    if (refusal === 'terminal' && isTerminal(status)) {
      this.lateOutcome ??= status
      this.#deps.totals.lateOutcome()
    } else if (wasResting && this.outcome === undefined) {
      this.#changed({}, true)
    }
    return { applied: false, reason: refusal }
  }

  startChild (init: string | Omit<MissionInit, 'id'>): MissionState {
    return this.#deps.registry.startChild(this, init)
  }

  annotate (metadata: Record<string, unknown>): void {
    const merged = this.#deps.payloads.metadata(this.metadata, metadata)
    if (this.outcome !== undefined) return
    this.#showActivity()
    this.metadata = merged
    this.#changed({ includesMetadata: true }, true)
  }

  heartbeat (): void {
    if (this.#showActivity()) this.#changed({}, true)
  }

  /** Pauses stall detection of an active mission until the next sign of activity. */
  wait (reason: string): void {
    this.#showActivity()
    this.waiting = cutReason(reason)
    this.#changed({}, true)
  }

  extendTimeout (ms: number): void {
    this.#deps.registry.extendTimeout(this, ms)
  }

  requestCancel (kind: CancelKind, request: CancelRequest = {}): CancelResult {
    if (this.outcome !== undefined) return 'terminal'
    if (this.cancel !== null) return 'already_requested'
    const cancel = createCancelState(kind, request)
    const abort = this.#abort
    this.cancel = cancel
    this.isCancelRequested = true
    const children = this.#deps.registry.cancelRequested(this, kind)
    this.#changed({ includesCancel: true }, false)
    for (const child of children) child.requestCancel('parent')
    // Last: a listener of the signal may end the mission synchronously.
    abort?.abort(new CancelledError(cancel))
    return 'requested'
  }

  /** Ends a mission whose grace period after a cancel request is over. */
  force (): void {
    if (this.outcome !== undefined || this.cancel === null) return
    this.#deps.updates.flush(this)
    // A listener of what was flushed may have ended it.
    if (this.isTerminal) return
    this.cancel = Object.freeze({ ...this.cancel, forced: true })
    this.isForced = true
    this.#apply('cancelled', {}, { error: undefined, step: {} })
  }

  flagStalled (): void {
    this.isStalled = true
    this.#deps.totals.stalled(true)
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
    this.#abort.abort(new CancelledError({ requested: true, kind: 'stall', reason: error.message, by: null }))
  }

  #judge (status: MissionStatus, details: CheckedDetails): Refusal | undefined {
    return judge(this.#isReported ? this.status : undefined, status, this.isNews(details))
  }

  // All code of the host that a change needs runs here, before anything has changed.
  #prepare (status: MissionStatus, details: MissionDetails): Prepared {
    const { payloads, updates } = this.#deps
    const error = details.error === undefined ? undefined : payloads.error(details.error)
    // What nobody receives is not serialized.
    const step = updates.hasListeners ? payloads.details(details) : {}
    if (isTerminal(status)) updates.flush(this)
    return { error, step }
  }

  #apply (status: MissionStatus, details: CheckedDetails, { error, step }: Prepared): ReportResult {
    const previousStatus = this.#isReported ? this.status : undefined
    this.status = status
    this.#isReported = true
    if (details.progress !== undefined) this.keepProgress(details.progress)
    if (Array.isArray(details.tasksSummary)) this.knownTasks.plan(details.tasksSummary.length)
    const { cancelReason: reason } = details
    if (reason !== undefined) this.cancel ??= createCancelState('request', { reason })
    if (error !== undefined) this.error = Object.freeze(error)
    if (isTerminal(status)) this.#end(status, previousStatus)
    // A new status is emitted at once; only further details can wait.
    if (previousStatus === status) this.#changed(step, true)
    else this.#changed(previousStatus === undefined ? step : { ...step, previousStatus }, false)
    if (this.outcome !== undefined) this.#settle(this.outcome)
    return APPLIED
  }

  #end (status: TerminalStatus, previousStatus: MissionStatus | undefined): void {
    const { clock, registry } = this.#deps
    const durationMs = clock.monotonic() - this.startedMonotonic
    this.statusBeforeEnd = previousStatus
    this.endedAt = clock.now()
    this.outcome = Object.freeze({ id: this.id, status, error: this.error, cancel: this.cancel, durationMs })
    this.#clearStall()
    registry.ended(this, this.outcome)
  }

  // An ended mission is kept for long, and what only its function needed is a large part of it.
  #settle (outcome: MissionOutcome): void {
    const listeners = this.#endListeners ?? []
    this.#endListeners = this.#abort = this.#log = undefined
    for (const listener of listeners) callGuarded(() => listener(outcome), this.#deps.onListenerError)
  }

  // Whether the mission was stalled or waiting, a change that the caller must emit.
  #showActivity (): boolean {
    if (this.outcome !== undefined) return false
    this.activeMonotonic = this.#deps.clock.monotonic()
    if (!this.isStalled && this.waiting === null) return false
    this.#clearStall()
    return true
  }

  #clearStall (): void {
    this.waiting = null
    if (!this.isStalled) return
    this.isStalled = false
    this.#deps.totals.stalled(false)
  }

  #changed (step: MissionStep, isReplaceable: boolean): void {
    this.updatedAt = this.#deps.clock.now()
    this.#deps.updates.changed(this, step, isReplaceable)
  }
}
