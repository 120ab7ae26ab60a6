import type { CancelState, MissionError, MissionInit, MissionStatus, MissionView, Progress, TerminalStatus } from '../../schemas/mission.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import { isTerminal, judge, type ReportResult } from './lifecycle.js'
import { snapshotError, snapshotJson } from './snapshot.js'

/** What a report may carry besides the status. */
export interface MissionDetails {
  /** A few lines on the tasks, in the host's own shape. */
  tasksSummary?: unknown
  /** The plan, in the host's own shape; over 32 KiB it is cut visibly. */
  planningSession?: unknown
  progress?: Progress | undefined
  /** Whatever was thrown, or `{ code, message }`; only the code and the message are kept. */
  error?: unknown
}

/** One applied change: what was reported, or that a cancel was asked for. */
export interface MissionStep extends MissionDetails { tellsCancel?: true }

/** A request to cancel: `kind` says who or what asked. */
export interface CancelRequest { kind?: string, reason?: string | undefined, by?: string | undefined }

/** What became of a request to cancel. The status never changes by a request alone. */
export type CancelResult = 'requested' | 'already_requested' | 'terminal' | 'not_found'

/** What a mission needs of its registry. */
export interface MissionHost {
  now (): number
  monotonic (): number
  checkDetails (status: unknown, details: MissionDetails): asserts status is MissionStatus
  /** Called in the same step as the change itself, after the mission's own state is complete. */
  changed (mission: Mission, step: MissionStep): void
  ended (status: TerminalStatus, durationMs: number): void
}

const PLAN_BYTES = 32_768
const TASK_BYTES = 1_024
const TASKS_INLINE = 5
const METADATA_BYTES = 4_096

const APPLIED: ReportResult = Object.freeze({ applied: true })

/**
 * One piece of long-running work. Every method is synchronous: when it returns, the status, the times and the registry's
 * totals have changed together. The first terminal status wins; a later one is kept as `lateOutcome` and changes nothing.
 */
export class Mission {
  readonly id: string
  readonly name: string
  readonly objective: string | null
  readonly tags: readonly string[]
  readonly metadata: unknown
  readonly tenant: string | null
  /** When it was registered, in ms since 1970. */
  readonly startedAt: number

  readonly #host: MissionHost
  readonly #startedMonotonic: number
  #status: MissionStatus | undefined
  #seq = 0
  #updatedAt: number
  #endedAt: number | null = null
  #durationMs: number | null = null
  #progress: Progress | null = null
  #error: MissionError | null = null
  #cancel: CancelState | null = null
  #lateOutcome: TerminalStatus | null = null
  #abort: AbortController | undefined

  constructor (host: MissionHost, id: string, init: Omit<MissionInit, 'id'>) {
    this.#host = host
    this.id = id
    this.name = init.name
    this.objective = init.objective ?? null
    this.tags = Object.freeze([...init.tags ?? []])
    this.metadata = init.metadata === undefined ? null : snapshotJson(init.metadata, METADATA_BYTES)
    this.tenant = init.tenant ?? null
    this.startedAt = this.#updatedAt = host.now()
    this.#startedMonotonic = host.monotonic()
  }

  /** The present status. It is there from the moment the registry gives a mission out. */
  get status (): MissionStatus { return this.#status! }

  get isTerminal (): boolean { return this.#status !== undefined && isTerminal(this.#status) }

  /** Aborts when somebody asks for the mission to be cancelled. The work decides what to do then. */
  get signal (): AbortSignal { return this.#controller.signal }

  /**
   * Reports a status.
   *
   * @returns `{ applied: true }`, or why not: `repeated`, `backward` or `terminal`
   * @throws FST_MC_UNKNOWN_STATUS for a status outside the eight
   * @throws FST_MC_INVALID_MISSION for progress of the wrong shape
   */
  report (status: MissionStatus, details: MissionDetails = {}): ReportResult {
    this.#host.checkDetails(status, details)
    const refusal = judge(this.#status, status, this.#isNewProgress(details.progress))
    if (refusal !== undefined) {
      if (refusal === 'terminal' && isTerminal(status)) this.#lateOutcome ??= status
      return { applied: false, reason: refusal }
    }
    this.#apply(status, details)
    return APPLIED
  }

  /** The plan's tasks are known. */
  tasksGenerated (tasksSummary?: unknown): ReportResult { return this.report('tasks_generated', { tasksSummary }) }

  /** The plan is made. */
  planned (planningSession?: unknown): ReportResult { return this.report('planned', { planningSession }) }

  executionStarted (): ReportResult { return this.report('execution_started') }

  /** One task moved; the same progress twice says nothing new. */
  progress (progress: Progress): ReportResult { return this.report('execution_progress', { progress }) }

  complete (): ReportResult { return this.report('completed') }

  /** Ends the mission as `error`; `error` is whatever was thrown, or `{ code, message }`. */
  fail (error: unknown): ReportResult { return this.report('error', { error }) }

  /** Asks for the mission to end: aborts `signal` and tells the viewers; the status stays until the work ends. */
  cancel ({ kind = 'request', reason, by }: CancelRequest = {}): CancelResult {
    if (this.isTerminal) return 'terminal'
    if (this.#cancel !== null) return 'already_requested'
    this.#cancel = { requested: true, kind, reason: reason?.slice(0, 256) ?? null, by: by?.slice(0, 128) ?? null }
    this.#touch({ tellsCancel: true })
    this.#controller.abort(new CancelledError(this.#cancel))
    return 'requested'
  }

  /** A copy of everything known of the mission. */
  view (): MissionView {
    return {
      id: this.id,
      name: this.name,
      objective: this.objective,
      tags: [...this.tags],
      metadata: this.metadata,
      tenant: this.tenant,
      status: this.status,
      seq: this.#seq,
      startedAt: this.startedAt,
      updatedAt: this.#updatedAt,
      endedAt: this.#endedAt,
      durationMs: this.#durationMs,
      progress: this.#progress && { ...this.#progress },
      error: this.#error && { ...this.#error },
      cancel: this.#cancel && { ...this.#cancel },
      lateOutcome: this.#lateOutcome
    }
  }

  /** The payload of the `mission_update` for the step that has just been applied. */
  update (step: MissionStep): MissionUpdate {
    return {
      missionId: this.id,
      status: this.status,
      name: this.name,
      seq: this.#seq,
      ...(step.tasksSummary !== undefined && { tasksSummary: snapshotTasks(step.tasksSummary) }),
      ...(step.planningSession !== undefined && { planningSession: snapshotJson(step.planningSession, PLAN_BYTES) }),
      ...(step.progress !== undefined && { progress: { ...step.progress } }),
      ...(this.#error !== null && { error: this.#error }),
      ...(this.#cancel !== null && (step.tellsCancel === true || this.isTerminal) && { cancel: this.#cancel }),
      ...(this.#durationMs !== null && { durationMs: this.#durationMs })
    }
  }

  // Made on first use: most missions end without anybody ever looking at their signal.
  get #controller (): AbortController { return (this.#abort ??= new AbortController()) }

  #isNewProgress (progress: Progress | undefined): boolean {
    const last = this.#progress
    if (progress === undefined) return false
    return last === null || progress.taskId !== last.taskId || progress.index !== last.index ||
      progress.total !== last.total || progress.status !== last.status
  }

  #apply (status: MissionStatus, details: MissionDetails): void {
    this.#status = status
    if (details.progress !== undefined) this.#progress = { ...details.progress }
    if (details.error !== undefined) this.#error = snapshotError(details.error)
    if (isTerminal(status)) this.#end(status)
    this.#touch(details)
  }

  #end (status: TerminalStatus): void {
    this.#endedAt = this.#host.now()
    this.#durationMs = this.#host.monotonic() - this.#startedMonotonic
    this.#host.ended(status, this.#durationMs)
  }

  #touch (step: MissionStep): void {
    this.#seq++
    this.#updatedAt = this.#host.now()
    this.#host.changed(this, step)
  }
}

/** The reason of a mission's aborted `signal`. */
export class CancelledError extends Error {
  readonly code = 'FST_MC_CANCELLED'
  readonly cancel: CancelState

  constructor (cancel: CancelState) {
    super('The mission was asked to end')
    this.name = 'CancelledError'
    this.cancel = cancel
  }
}

function snapshotTasks (tasks: unknown): unknown {
  if (!Array.isArray(tasks)) return snapshotJson(tasks, TASK_BYTES)
  const inline = tasks.slice(0, TASKS_INLINE).map((task) => snapshotJson(task, TASK_BYTES))
  return tasks.length > TASKS_INLINE ? [...inline, { truncated: true, count: tasks.length - TASKS_INLINE }] : inline
}
