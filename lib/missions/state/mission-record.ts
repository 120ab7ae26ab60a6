import type { MissionStatus, TerminalStatus } from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import type { CheckedDetails, CheckedProgress, MissionOutcome, MissionStep, ReportedTimes } from '../types.js'
import type { SharedMission } from './shared/shared-mission.js'
import { abortWith, createCancelState } from './parts/cancel-state.js'
import { isBackward } from './lifecycle.js'
import { MissionFields } from './mission-fields.js'
import { Notes } from './parts/notes.js'
import type { Prepared } from './prepare.js'
import { Tasks } from './parts/tasks.js'
import { mergeTimes } from './parts/times.js'

/** How the fields of a mission change with what is reported. Written by its subclass alone. */
export class MissionRecord extends MissionFields {
  protected controller: AbortController | undefined

  // The controller is created on first use: most missions end without anybody ever reading their signal.
  get signal (): AbortSignal {
    this.controller ??= this.isCancelRequested ? abortWith(this.cancel!) : new AbortController()
    return this.controller.signal
  }

  /** Gives a task its index, its own or the next free one, and returns what builds its progress with a status. */
  nextTask (taskId: string): (status: string) => CheckedProgress {
    const tasks = this.knownTasks
    const index = tasks.indexOf(taskId)
    return (status) => {
      const fraction = tasks.fractionWith(taskId, status)
      return { taskId, index, total: tasks.total(index), status, fraction, kind: 'position' }
    }
  }

  /** Whether a report has details to emit. Plans, tasks and metadata are not compared: each one counts as new. */
  protected isNews (details: CheckedDetails): boolean {
    const { progress, tasksSummary, planningSession, metadata, waiting, parentId, times } = details
    return tasksSummary !== undefined || planningSession !== undefined || metadata !== undefined ||
      (progress !== undefined && this.#isNewProgress(progress)) ||
      (waiting !== undefined && waiting !== this.waiting) ||
      (parentId !== undefined && parentId !== this.parentId) ||
      (times !== undefined && this.#isNewTime(times))
  }

  /** Keeps the details of a report, but not the parent. Notes in `step` what the update must include. */
  protected keep (
    { progress, tasksSummary, times, waiting, cancel }: CheckedDetails, prepared: Prepared, clock: Clock
  ): void {
    const { error, metadata, step } = prepared
    if (progress !== undefined) {
      this.#keepProgress(progress, clock)
      step.includesProgress = true
    }
    if (Array.isArray(tasksSummary)) this.knownTasks.plan(tasksSummary.length)
    if (metadata !== undefined) {
      this.metadata = metadata
      step.includesMetadata = true
    }
    if (error !== undefined) this.error = error
    if (waiting !== undefined) this.waiting = waiting
    if (cancel !== undefined) this.cancel ??= createCancelState(cancel.kind ?? 'request', cancel)
    if (times !== undefined) this.#keepTimes(times, step)
    if (!this.isReported) this.startMetadata = this.metadata
    this.isReported = true
  }

  /**
   * Keeps the times of a report that came too late, where nobody has reported them yet and they contradict no others.
   * Returns whether there were any.
   */
  protected keepMissing (times: ReportedTimes | undefined): boolean {
    const queuedAt = this.queuedAt ?? times?.queuedAt ?? null
    const startedAt = this.isStartReported ? this.startedAt : times?.startedAt ?? this.startedAt
    if (queuedAt !== null && startedAt < queuedAt) return false
    if (queuedAt === this.queuedAt && startedAt === this.startedAt) return false
    this.queuedAt = queuedAt
    this.startedAt = startedAt
    this.isStartReported ||= times?.startedAt !== undefined
    return true
  }

  #keepTimes (times: ReportedTimes, step: MissionStep): void {
    const { queuedAt, startedAt } = mergeTimes(this, times, this.isStartReported)
    if (queuedAt !== this.queuedAt || startedAt !== this.startedAt) step.includesOrigin = true
    this.queuedAt = queuedAt
    this.startedAt = startedAt
    this.isStartReported ||= times.startedAt !== undefined
  }

  #isNewTime ({ queuedAt, startedAt }: ReportedTimes): boolean {
    return (queuedAt !== undefined && queuedAt !== this.queuedAt) ||
      (startedAt !== undefined && startedAt !== this.startedAt)
  }

  #isNewProgress (progress: CheckedProgress): boolean {
    const { taskId, index, total, status, fraction } = this.#complete(progress)
    const last = this.progress
    return last === null || taskId !== last.taskId || index !== last.index || total !== last.total ||
      status !== last.status || !Object.is(fraction, last.fraction)
  }

  // Overwritten in place: with many missions, a new object for each report would survive the young generation.
  #keepProgress (progress: CheckedProgress, clock: Clock): void {
    const complete = this.#complete(progress)
    const { taskId, index, total, status, fraction } = complete
    const kept = (this.progress ??= { taskId, index, total, status, fraction })
    kept.taskId = taskId
    kept.index = index
    kept.total = total
    kept.status = status
    kept.fraction = fraction
    this.knownTasks.note(complete, clock)
  }

  /** Adds the numbers that were not reported. */
  #complete (progress: CheckedProgress): CheckedProgress {
    if (progress.index > 0 && progress.total > 0) return progress
    const { taskId, index: reported, total, kind } = progress
    const last = this.progress
    // A new text for the whole mission keeps its numbers.
    if (kind === 'overall' && reported + total === 0 && last?.taskId === taskId) {
      return { ...progress, index: last.index, total: last.total, fraction: last.fraction }
    }
    const index = reported > 0 ? reported : kind === 'overall' ? 1 : this.knownTasks.indexOf(taskId)
    return { ...progress, index, total: total > 0 ? Math.max(index, total) : this.knownTasks.total(index) }
  }

  /** Sets the times of the ending and returns the outcome. */
  protected finish (
    status: TerminalStatus, previousStatus: MissionStatus | undefined, times: ReportedTimes | undefined, clock: Clock
  ): MissionOutcome {
    const { id, attempt, error, cancel } = this
    this.statusBeforeEnd = previousStatus
    // The wall clock may jump, so it measures only what the host has reported by it.
    const endedAt = this.endedAt = times?.endedAt ?? Math.max(clock.now(), this.startedAt)
    const isReported = this.isStartReported || times?.endedAt !== undefined
    const durationMs = isReported ? Math.max(0, endedAt - this.startedAt) : clock.monotonic() - this.startedMonotonic
    return Object.freeze({ id, attempt, status, error, cancel, durationMs })
  }

  /** Takes over everything that the shared log knows of this attempt, but not its ending. */
  protected takeOver (shared: SharedMission): void {
    const { name, objective, tags, tagsOmitted, timeoutMs, history, metadata, startMetadata, parentId } = shared
    Object.assign(this, { name, objective, tags, tagsOmitted, timeoutMs, history, metadata, startMetadata, parentId })
    const { queuedAt, startedAt, updatedAt, progress, error, cancel, isCancelRequested, waiting, status } = shared
    Object.assign(this, { queuedAt, startedAt, updatedAt, progress, error, cancel, isCancelRequested, waiting, status })
    this.isReported = this.isStartReported = true
    this.statusBeforeEnd = shared.statusBeforeEnd
    this.reached = shared.reached
    this.lateOutcome = shared.lateOutcome
    this.notes = Notes.restore(shared.noteList, shared.notesOmitted)
    this.taskList = Tasks.restore(shared.taskList, shared.tasksOmitted)
  }

  /** Takes over only what is not known here, because own reports are still on their way to the log. */
  protected takeOverMissing (shared: SharedMission): void {
    if (isBackward(shared.status, this.status)) {
      this.status = shared.status
      this.reached = shared.reached
    }
    this.progress ??= shared.progress && { ...shared.progress }
    this.error ??= shared.error
    this.cancel ??= shared.cancel
    this.isCancelRequested ||= shared.isCancelRequested
    this.metadata ??= shared.metadata
    this.parentId ??= shared.parentId
    this.queuedAt ??= shared.queuedAt
  }
}
