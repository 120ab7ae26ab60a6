import type {
  CancelState, MissionError, MissionInit, MissionStatus, MissionView, TerminalStatus
} from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import type { CheckedDetails, CheckedProgress, KeptProgress, MissionOutcome } from '../types.js'
import type { Payloads } from '../payload/payload.js'
import { copyProgress } from '../payload/update.js'
import { Tasks } from './tasks.js'

/** What a mission is from its start on. `number` counts the missions of this process in the order of their start. */
export interface MissionIdentity {
  readonly id: string
  readonly number: number
  readonly parentId: string | null
  readonly init: Omit<MissionInit, 'id'>
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
  readonly tenant: string | null
  readonly parentId: string | null
  readonly startedAt: number
  /** Counts the missions of this process in the order of their start. */
  readonly number: number

  status: MissionStatus = 'planning_started'
  /** How many updates there were; written by the update stream. */
  seq = 0
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

  protected readonly startedMonotonic: number
  #tasks: Tasks | undefined

  constructor (identity: MissionIdentity, clock: Clock, payloads: Payloads) {
    const { id, number, parentId, init } = identity
    this.id = id
    this.number = number
    this.parentId = parentId
    this.name = init.name
    this.objective = init.objective === undefined ? null : payloads.objective(init.objective)
    this.tags = init.tags === undefined ? NO_TAGS : Object.freeze([...init.tags])
    this.tenant = init.tenant ?? null
    this.metadata = init.metadata === undefined ? null : payloads.metadata(null, init.metadata)
    this.startedAt = this.updatedAt = clock.now()
    this.startedMonotonic = this.activeMonotonic = clock.monotonic()
  }

  get isTerminal (): boolean { return this.outcome !== undefined }

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

  view (): MissionView {
    return {
      id: this.id,
      name: this.name,
      objective: this.objective,
      tags: [...this.tags],
      metadata: structuredClone(this.metadata),
      tenant: this.tenant,
      parentId: this.parentId,
      status: this.status,
      seq: this.seq,
      startedAt: this.startedAt,
      updatedAt: this.updatedAt,
      endedAt: this.endedAt,
      durationMs: this.durationMs,
      progress: this.progress && copyProgress(this.progress),
      error: this.error && { ...this.error },
      cancel: this.cancel && { ...this.cancel },
      stalled: this.isStalled,
      waiting: this.waiting,
      tasks: this.#tasks?.list() ?? [],
      tasksOmitted: this.#tasks?.omitted ?? 0,
      lateOutcome: this.lateOutcome
    }
  }

  protected get knownTasks (): Tasks { return (this.#tasks ??= new Tasks()) }

  /** Whether a report has details to emit. Plans and tasks are not kept, so each one counts as new. */
  protected isNews ({ progress, tasksSummary, planningSession }: CheckedDetails): boolean {
    return tasksSummary !== undefined || planningSession !== undefined ||
      (progress !== undefined && this.#isNewProgress(progress))
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
