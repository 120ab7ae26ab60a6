import type { MissionSubject } from '../../../schemas/access.js'
import type { CancelKind, CancelState, MissionError, MissionView } from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import { Closing } from '../../base/errors.js'
import type { Mission } from '../mission.js'
import { EndedCopy, type EndedMission } from '../payload/ended-mission.js'
import {
  CancelledError, type CancelRequest, type CancelResult, type ChildInit, type MissionLog, type MissionOutcome,
  type TextCuts
} from '../types.js'
import { abortWith, askAll, createCancelState, type Asked } from './parts/cancel-state.js'
import { EndListeners } from './parts/end-listeners.js'
import { MissionReports } from './mission-reports.js'
import type { SharedMission } from './shared/shared-mission.js'
import { toView } from './view.js'

/**
 * The state of one mission and the only place that changes it. Input was checked by the caller. A change is complete
 * (status, times, totals) before it is emitted, and `updates.changed` is called once for it. The public fields are
 * written by this class alone.
 */
export class MissionState extends MissionReports<MissionState> {
  #log: MissionLog | undefined
  #endListeners: EndListeners | undefined
  #storeListeners: EndListeners | undefined
  #isStored = false
  #handle: Mission | undefined

  /** What the host holds; always the same object. */
  get handle (): Mission { return (this.#handle ??= this.deps.createHandle(this)) }
  protected get self (): MissionState { return this }
  get cuts (): TextCuts { return this.deps.cuts }
  get clock (): Clock { return this.deps.clock }
  get log (): MissionLog { return (this.#log ??= this.deps.makeLog(this.id)) }
  get #listeners (): EndListeners { return (this.#endListeners ??= new EndListeners()) }
  get done (): Promise<MissionOutcome> { return this.#listeners.done(this.outcome) }
  onEnd (listener: (outcome: MissionOutcome) => void): () => void { return this.#listeners.add(listener) }
  view (): MissionView { return toView(this) }
  toEnded (at: number, subject: MissionSubject | undefined): EndedMission { return new EndedCopy(this, at, subject) }

  /** @see Mission.settled */
  async settled (): Promise<MissionOutcome> {
    if (this.#isStored) return this.outcome!
    const { isClosed, onClosed } = this.deps.registry
    if (isClosed()) throw new Closing()
    return await new Promise((resolve, reject) => {
      const unsubscribe = onClosed(() => reject(new Closing()))
      this.#storeListeners ??= new EndListeners()
      this.#storeListeners.add((outcome) => {
        unsubscribe()
        resolve(outcome)
      })
    })
  }

  get isStored (): boolean { return this.#isStored }

  /** The ending is stored. */
  settleStored (): void {
    if (this.#isStored) return
    this.#isStored = true
    // Until now, another ending could have aborted it.
    if (this.controller?.signal.aborted === false) this.controller = undefined
    this.#storeListeners?.settle(this.outcome!, this.deps.onListenerError)
  }

  /** Takes over what others have reported. `hasReports`: own reports are still on their way to the log. */
  follow (shared: SharedMission, hasReports: boolean): void {
    if (this.isTerminal) return
    this.showActivity(shared.waiting)
    if (hasReports) this.takeOverMissing(shared)
    else this.takeOver(shared)
    this.seq = Math.max(this.seq, shared.seq)
    // The process that runs the mission has passed a cancel request on to its own function; this one has a handle too.
    if (this.isCancelRequested && this.controller?.signal.aborted === false) abortWith(this.cancel!, this.controller)
    this.deps.updates.followed(this, false)
  }

  /** An earlier attempt has ended in another way than this one knows. Returns whether it is in the history. */
  correctAttempt ({ attempt, outcome, endedAt }: MissionState): boolean {
    const { attempts, omitted } = this.history
    const index = attempts.findIndex((past) => past.attempt === attempt)
    if (index === -1) return false
    const { status, error, cancel, durationMs } = outcome!
    const corrected = Object.freeze({ ...attempts[index]!, status, error, cancel, durationMs, endedAt: endedAt! })
    this.history = Object.freeze({ attempts: attempts.with(index, corrected), omitted })
    return true
  }

  /** Takes over the number of its last update from the log, where others may have added some. */
  renumber (seq: number): void {
    if (this.seq === seq) return
    this.seq = seq
    // The next update is not the first one.
    this.firstSeq = 0
  }

  /** Becomes the mission that the log knows; to be called once, on a new object. */
  restore (shared: SharedMission): void {
    this.takeOver(shared)
    this.seq = shared.seq
    this.firstSeq = 0
    this.isAdopted = true
    this.instance = shared.owner
    if (!shared.isTerminal) return
    this.endedAt = shared.endedAt
    this.outcome = shared.outcome
    this.#isStored = true
  }

  /** Ends as the log says, also if it had another ending here. Aborts the signal with `reason`. */
  endAs (shared: SharedMission, reason: Error): void {
    const before = this.outcome
    const { endedAt, statusBeforeEnd } = shared
    this.#endAborted(() => {
      this.takeOver(shared)
      this.outcome = shared.outcome
      Object.assign(this, { endedAt, statusBeforeEnd, isForced: true, seq: shared.seq })
      if (before !== undefined) this.lateOutcome ??= before.status
      this.clearStall()
      this.deps.registry.endedElsewhere(this, this.outcome, before)
      this.deps.updates.followed(this, before === undefined && !this.isAdopted)
      if (before === undefined) this.settle(this.outcome)
      return true
    }, reason)
  }

  startChild (init: ChildInit): MissionState { return this.deps.registry.startChild(this, init) }
  retry (): MissionState { return this.deps.registry.retry(this) }
  extendTimeout (ms: number): void { this.deps.registry.extendTimeout(this, ms) }

  requestCancel (kind: CancelKind, request: CancelRequest = {}): CancelResult {
    if (this.outcome !== undefined) return 'terminal'
    if (this.cancel !== null) return 'already_requested'
    if (this.deps.registry.forwardCancel(this, kind, request)) return 'requested'
    askAll(this.#ask(kind, request), (child) =>
      child.isTerminal || child.cancel !== null ? undefined : child.#ask('parent', {}))
    return 'requested'
  }

  #ask (kind: CancelKind, request: CancelRequest): Asked<MissionState> {
    const cancel = createCancelState(kind, request)
    const { controller } = this
    this.cancel = cancel
    this.isCancelRequested = true
    const children = this.deps.registry.cancelRequested(this, kind)
    this.changed({ includesCancel: true }, false)
    return { children, abort: () => { if (controller !== undefined) abortWith(cancel, controller) } }
  }

  /** Ends a mission whose grace period after a cancel request is over. Its owner sets the grace period. */
  force (): void {
    const { outcome, cancel } = this
    if (outcome !== undefined || cancel === null || this.deps.registry.isOwnedElsewhere(this)) return
    this.#forceCancelled({ ...cancel, forced: true })
  }

  /** Ends this attempt, because a newer one has started. */
  supersede (): void {
    const cancel = this.cancel ?? createCancelState('superseded', { reason: 'A newer attempt has started' })
    this.#endAborted(() => this.#forceCancelled(cancel), new CancelledError(cancel))
  }

  flagStalled (): void {
    this.isStalled = true
    this.deps.totals(this.tenant).stalled(true)
    this.changed({}, false)
  }

  /**
   * Ends a stalled mission as `error`. Its function may still run and can no longer be cancelled, so its signal aborts.
   */
  endStalled (error: MissionError): void {
    const cancel = createCancelState('stall', { reason: error.message })
    this.#endAborted(() => {
      if (!this.report('error', { error }).applied) return false
      return (this.isForced = true)
    }, new CancelledError(cancel))
  }

  // Ending may drop the controller, and a signal that is read from now on must be aborted too.
  #endAborted (end: () => boolean, reason: Error): void {
    const controller = this.controller ?? new AbortController()
    if (!end()) return
    this.controller = controller
    controller.abort(reason)
  }

  // A listener of what is flushed may end it.
  #forceCancelled (cancel: CancelState): boolean {
    this.deps.updates.flush(this)
    if (this.isTerminal) return false
    this.cancel = Object.freeze(cancel)
    this.isForced = true
    return this.apply('cancelled', {}, { step: {} }).applied
  }

  // An ended mission is kept for long, and what only its function needed is a large part of it.
  protected settle (outcome: MissionOutcome): void {
    const listeners = this.#endListeners
    this.#log = undefined
    this.deps.registry.settled(this)
    if (!this.deps.registry.isShared()) this.settleStored()
    listeners?.settle(outcome, this.deps.onListenerError)
  }
}
