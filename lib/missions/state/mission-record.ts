import type { MissionSubject } from '../../../schemas/access.js'
import type {
  CancelState, MissionError, MissionStatus, TerminalStatus
} from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import type {
  AttemptHistory, CheckedDetails, CheckedInit, CheckedProgress, KeptProgress, MissionOutcome, MissionStep,
  ReportedTimes
} from '../types.js'
import type { Payloads } from '../payload/payload.js'
import { historyAfter } from './attempts.js'
import { createCancelState } from './cancel-state.js'
import type { Notes } from './notes.js'
import type { Prepared } from './prepare.js'
import { Tasks } from './tasks.js'
import { mergeTimes } from './times.js'

/**
 * What a mission is from its start on. `number` counts the missions of this process in the order of their start.
 * `previous` is the attempt before this one, from which everything is taken over that `init` does not have.
 */
export interface MissionIdentity {
  readonly id: string
  readonly number: number
  readonly attempt: number
  readonly init: CheckedInit
  readonly isTracked: boolean
  readonly previous: MissionRecord | undefined
  /** The number of the last update of the attempt before this one. */
  readonly lastSeq: number
  /** How many attempts are known to have ended. */
  readonly ended: number
}

const NO_TAGS: readonly string[] = Object.freeze([])

/**
 * Everything known about one mission, for those who read it: queries, updates, views. Written by its subclass alone.
 */
export class MissionRecord {
  readonly id: string
  readonly name: string
  readonly objective: string | null
  readonly tags: readonly string[]
  readonly tagsOmitted: number
  readonly tenant: string | null
  readonly timeoutMs: number | undefined
  readonly attempt: number
  readonly history: AttemptHistory
  /** Whether the registry holds it, so that it is counted and watchers see it. */
  readonly isTracked: boolean
  /** Counts the missions of this process in the order of their start. */
  readonly number: number
  /** The number of the first update of this attempt. */
  readonly firstSeq: number

  status: MissionStatus = 'planning_started'
  /** How many updates there were; written by the update stream. */
  seq: number
  parentId: string | null
  /** Whether the parent is of another tenant, to which its id must not be shown; written by the lineage. */
  isParentForeign = false
  queuedAt: number | null
  startedAt: number
  // Numbers from the start, so that the engine overwrites a time instead of allocating a new object for it.
  updatedAt = NaN
  /** The last sign of activity, in ms of the monotonic clock. */
  activeMonotonic = NaN
  endedAt: number | null = null
  /** A JSON copy. */
  metadata: unknown
  progress: KeptProgress | null = null
  error: MissionError | null = null
  cancel: CancelState | null = null
  /** Whether it was asked to end. A mission that the host itself ends as `cancelled` has a `cancel` without that. */
  isCancelRequested = false
  isStalled = false
  /** Whether it was ended while its function still runs, which will settle later. */
  isForced = false
  waiting: string | null = null
  lateOutcome: TerminalStatus | null = null
  statusBeforeEnd: MissionStatus | undefined
  outcome: MissionOutcome | undefined
  notes: Notes | undefined

  /** The metadata of the first report. */
  startMetadata: unknown = null

  protected isReported = false
  protected readonly startedMonotonic: number
  /** Whether the host has reported when it started. */
  protected isStartReported: boolean
  #tasks: Tasks | undefined
  #subject: MissionSubject | undefined

  constructor (identity: MissionIdentity, clock: Clock, payloads: Payloads) {
    const { id, number, attempt, init, isTracked, previous, lastSeq, ended } = identity
    this.id = id
    this.number = number
    this.attempt = attempt
    this.isTracked = isTracked
    this.history = historyAfter(previous, ended)
    this.seq = lastSeq
    this.firstSeq = lastSeq + 1
    this.name = init.name ?? previous?.name ?? id
    this.objective = init.objective === undefined ? previous?.objective ?? null : payloads.objective(init.objective)
    this.tags = init.tags === undefined ? previous?.tags ?? NO_TAGS : Object.freeze([...init.tags])
    this.tagsOmitted = init.tagsOmitted ?? previous?.tagsOmitted ?? 0
    this.tenant = init.tenant ?? previous?.tenant ?? null
    this.timeoutMs = init.timeoutMs ?? previous?.timeoutMs
    this.metadata = init.metadata === undefined ? previous?.metadata ?? null : payloads.metadata(null, init.metadata)
    this.parentId = init.parentId ?? previous?.parentId ?? null
    this.updatedAt = clock.now()
    this.queuedAt = init.queuedAt ?? null
    this.startedAt = init.startedAt ?? this.updatedAt
    this.isStartReported = init.startedAt !== undefined
    this.startedMonotonic = this.activeMonotonic = clock.monotonic()
  }

  get shownParentId (): string | null { return this.isParentForeign ? null : this.parentId }

  /** What the host decides by whether somebody may see it; always the same object. */
  get subject (): MissionSubject {
    const { id, name, tenant, tags, startMetadata: metadata } = this
    return (this.#subject ??= Object.freeze({ id, name, tenant, tags, metadata }))
  }

  get isTerminal (): boolean { return this.outcome !== undefined }

  /** How many attempts have ended, this one included. */
  get ended (): number { return this.history.attempts.length + this.history.omitted + 1 }

  get durationMs (): number | null { return this.outcome?.durationMs ?? null }

  /** Gives a task its index, its own or the next free one, and returns what builds its progress with a status. */
  nextTask (taskId: string): (status: string) => CheckedProgress {
    const tasks = this.knownTasks
    const index = tasks.indexOf(taskId)
    return (status) => {
      const fraction = tasks.fractionWith(taskId, status)
      return { taskId, index, total: tasks.total(index), status, fraction, kind: 'position' }
    }
  }

  /** The tasks that are kept, for views. */
  get tasks (): Pick<Tasks, 'list' | 'omitted'> | undefined { return this.#tasks }

  protected get knownTasks (): Tasks { return (this.#tasks ??= new Tasks()) }

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
  protected keep ({ progress, tasksSummary, times, waiting, cancel }: CheckedDetails, prepared: Prepared): void {
    const { error, metadata, step } = prepared
    if (progress !== undefined) {
      this.keepProgress(progress)
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
  protected keepProgress (progress: CheckedProgress): void {
    const complete = this.#complete(progress)
    const { taskId, index, total, status, fraction } = complete
    const kept = (this.progress ??= { taskId, index, total, status, fraction })
    kept.taskId = taskId
    kept.index = index
    kept.total = total
    kept.status = status
    kept.fraction = fraction
    this.knownTasks.note(complete)
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
}
