import type {
  CancelKind, CancelState, MissionError, MissionInit, MissionStatus, MissionView, Progress, TerminalStatus
} from '../../schemas/mission.js'
import { isTerminal, judge, type Refusal, type ReportResult } from './lifecycle.js'
import { checkRequest, checkText } from './input.js'
import { CancelledError, type CancelRequest, type CancelResult, type MissionDetails, type MissionLog, type MissionOutcome, type MissionStep } from './types.js'
import { cutCharacters } from './updates/json-copy.js'
import type { Tasks } from './tasks.js'

/** What a mission needs of its registry. All of it is synchronous. */
export interface MissionHost {
  now (): number
  monotonic (): number
  /** A checked copy, without what is absent. */
  readDetails (status: unknown, details: MissionDetails): MissionDetails
  readError (thrown: unknown): MissionError
  /** What viewers see of the details: the plan and the tasks serialized and bounded. */
  showDetails (details: MissionDetails): MissionDetails
  readObjective (objective: string): string
  /** What is known with what is added. */
  mergeMetadata (known: unknown, added: unknown): unknown
  makeTasks (): Tasks
  makeLog (id: string): MissionLog
  /** The mission is about to end: what still waits to be told is told before. */
  ending (mission: Mission): void
  /** To be told to viewers: at once, or, if `isSoft`, when the mission's frame rate allows. */
  changed (mission: Mission, step: MissionStep, isSoft: boolean): void
  /** Starts the grace. Gives the children that are live, which are to be asked next. */
  cancelRequested (mission: Mission, kind: CancelKind): Mission[]
  stalled (isStalled: boolean): void
  ended (mission: Mission, outcome: MissionOutcome): void
  endedLate (): void
  extendTimeout (mission: Mission, ms: number): void
  /** Calls a listener of the host; what it throws is the host's alone. */
  callListener (call: () => void): void
  startChild (mission: Mission, init: string | Omit<MissionInit, 'id'>): Mission
}

interface Prepared { error: MissionError | undefined, shown: MissionDetails }

const cutText = (text: string | undefined, max: number): string | null => text === undefined ? null : cutCharacters(text, max)

const APPLIED: ReportResult = Object.freeze({ applied: true })
const NO_TAGS: readonly string[] = Object.freeze([])

/**
 * One piece of long-running work. Every method that reports is synchronous: when it returns, the status, the times and the
 * registry's totals have changed together. The first terminal status wins; a later one is counted, kept as `lateOutcome`
 * and changes nothing.
 */
export class Mission {
  readonly id: string
  readonly name: string
  /** As viewers see it, which is what `serializers.objective` made of it. */
  readonly objective: string | null
  readonly tags: readonly string[]
  readonly tenant: string | null
  /** The mission that started this one. */
  readonly parentId: string | null
  /** When it was registered, in ms since 1970. */
  readonly startedAt: number
  /** The place of this mission among all of its process, in the order of their start. */
  readonly number: number

  readonly #host: MissionHost
  readonly #startedMonotonic: number
  // Numbers from the start, so that the engine writes a new time over the old one instead of keeping a new object for it.
  #activeMonotonic = NaN
  #status: MissionStatus | undefined
  #seq = 0
  #updatedAt = NaN
  #endedAt: number | null = null
  #metadata: unknown
  #progress: Progress | null = null
  #tasks: Tasks | undefined
  #error: MissionError | null = null
  #cancel: CancelState | null = null
  #isStalled = false
  #isForced = false
  #waiting: string | null = null
  #lateOutcome: TerminalStatus | null = null
  #endedFrom: MissionStatus | undefined
  #outcome: MissionOutcome | undefined
  #abort: AbortController | undefined
  #log: MissionLog | undefined
  #done: Promise<MissionOutcome> | undefined
  #enders: Set<(outcome: MissionOutcome) => void> | undefined

  constructor (host: MissionHost, { id, number, parentId, init }: { id: string, number: number, parentId: string | null, init: Omit<MissionInit, 'id'> }) {
    this.#host = host
    this.id = id
    this.number = number
    this.parentId = parentId
    this.name = init.name
    this.objective = init.objective === undefined ? null : host.readObjective(init.objective)
    this.tags = init.tags === undefined ? NO_TAGS : Object.freeze([...init.tags])
    this.tenant = init.tenant ?? null
    this.#metadata = init.metadata === undefined ? null : host.mergeMetadata(null, init.metadata)
    this.startedAt = this.#updatedAt = host.now()
    this.#startedMonotonic = this.#activeMonotonic = host.monotonic()
  }

  /** The present status. A mission whose first report is under way is about to start. */
  get status (): MissionStatus { return this.#status ?? 'planning_started' }

  get isTerminal (): boolean { return this.#outcome !== undefined }

  get isStalled (): boolean { return this.#isStalled }

  /** Whether it was ended while its work still went on, whose own ending is yet to come. */
  get isForced (): boolean { return this.#isForced }

  /** Why the stall clock rests, or `null`. */
  get waitingReason (): string | null { return this.#waiting }

  /** The last sign of life, in ms of the monotonic clock. */
  get activeMonotonic (): number { return this.#activeMonotonic }

  /** The request to cancel, or `null`. */
  get cancelState (): CancelState | null { return this.#cancel }

  /** A JSON copy of what the host added. */
  get metadata (): unknown { return structuredClone(this.#metadata) }

  /** Aborts when the mission is asked to end; its reason has `code` `FST_MC_CANCELLED` and the `cancel` request. */
  get signal (): AbortSignal { return this.#controller.signal }

  /** A child logger of the host that carries the mission's id. */
  get log (): MissionLog { return (this.#log ??= this.#host.makeLog(this.id)) }

  /** Settles with the outcome when the mission has ended; never rejects. */
  get done (): Promise<MissionOutcome> {
    return (this.#done ??= this.#outcome !== undefined
      ? Promise.resolve(this.#outcome)
      : new Promise((resolve) => { this.onEnd(resolve) }))
  }

  /** How it ended, or `undefined` while it has not. */
  get outcome (): MissionOutcome | undefined { return this.#outcome }

  /** Calls `listener` when the mission ends, unless the returned function is called before; never for one that has ended. */
  onEnd (listener: (outcome: MissionOutcome) => void): () => void {
    const enders = (this.#enders ??= new Set())
    enders.add(listener)
    return () => { enders.delete(listener) }
  }

  /**
   * Reports a status.
   *
   * @returns `{ applied: true }`, or why not: `repeated`, `backward` or `terminal`
   * @throws FST_MC_UNKNOWN_STATUS for a status outside the eight
   * @throws FST_MC_INVALID_MISSION for progress of the wrong shape
   */
  report (status: MissionStatus, details: MissionDetails = {}): ReportResult {
    const known = this.#host.readDetails(status, details)
    const hasWoken = this.#showLife()
    const prepared = this.#judge(status, known) === undefined ? this.#prepare(status, known) : { error: undefined, shown: known }
    // Judged again, since preparing runs serializers and listeners of the host, and these may have moved the mission on.
    const refusal = this.#judge(status, known)
    if (refusal === undefined) return this.#apply(status, known, prepared)
    if (refusal === 'terminal' && isTerminal(status)) this.#keepLate(status)
    else if (hasWoken && !this.isTerminal) this.#touch({}, true)
    return { applied: false, reason: refusal }
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
  fail (error: unknown): ReportResult { return this.report('error', { error: error ?? null }) }

  /**
   * Runs one task and reports its progress before (`started`) and after (`completed`, `failed`). Gives or throws what `run` did;
   * a task that throws does not end the mission.
   */
  async task<T> (taskId: string, run: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const index = this.#knownTasks.place(taskId)
    const tell = (status: string) => this.progress({ taskId, index, total: this.#knownTasks.total(index), status })
    tell('started')
    try {
      const value = await run(this.signal)
      tell('completed')
      return value
    } catch (err) {
      tell('failed')
      throw err
    }
  }

  /** Starts a mission that belongs to this one: when this one is asked to end, so is the child. */
  child (init: string | Omit<MissionInit, 'id'>): Mission {
    return this.#host.startChild(this, init)
  }

  /** Merges `metadata` into what the host has added before; too large a whole is cut visibly. Ignored after the end. */
  annotate (metadata: Record<string, unknown>): void {
    const merged = this.#host.mergeMetadata(this.#metadata, metadata)
    if (this.isTerminal) return
    this.#showLife()
    this.#metadata = merged
    this.#touch({ tellsMetadata: true }, true)
  }

  /** Shows that the work is alive, and says nothing else. */
  heartbeat (): void {
    if (this.#showLife()) this.#touch({}, true)
  }

  /**
   * Rests the stall clock until the next sign of life, because the work waits for something outside.
   *
   * @throws FST_MC_INVALID_MISSION for a reason that is no text
   */
  waiting (reason: string): void {
    if (this.isTerminal) return
    checkText(reason, 'the reason')
    const text = cutCharacters(reason, 256)
    this.#showLife()
    this.#waiting = text
    this.#touch({}, true)
  }

  /** Moves the mission's time-out to `ms` from now. */
  extendTimeout (ms: number): void {
    this.#host.extendTimeout(this, ms)
  }

  /** Asks for the mission to end: aborts `signal` and tells the viewers. The status stays until the work ends or its grace is over. */
  cancel (request: CancelRequest = {}): CancelResult {
    return this.requestCancel('request', checkRequest(request))
  }

  /** @see cancel; for those who ask in another name than the host's. */
  requestCancel (kind: CancelKind, { reason, by }: CancelRequest = {}): CancelResult {
    if (this.isTerminal) return 'terminal'
    if (this.#cancel !== null) return 'already_requested'
    const cancel: CancelState = Object.freeze({ requested: true, kind, reason: cutText(reason, 256), by: cutText(by, 128) })
    const abort = this.#abort
    this.#cancel = cancel
    const children = this.#host.cancelRequested(this, kind)
    this.#touch({ tellsCancel: true }, false)
    for (const child of children) child.requestCancel('parent')
    // Last: a listener of the signal may end the mission here and now.
    abort?.abort(new CancelledError(cancel))
    return 'requested'
  }

  /** Ends a mission that was asked to end and did not. */
  force (): void {
    if (this.isTerminal || this.#cancel === null) return
    this.#host.ending(this)
    // What was told just now may have made the host end it.
    if (this.isTerminal) return
    this.#cancel = Object.freeze({ ...this.#cancel, forced: true })
    this.#isForced = true
    this.#apply('cancelled', {}, { error: undefined, shown: {} })
  }

  /** Flags a mission that has shown no life for too long. */
  flagStalled (): void {
    this.#isStalled = true
    this.#host.stalled(true)
    this.#touch({}, false)
  }

  /** Ends a stalled mission as `error`. Its work may still go on, and nobody could ask it to end any more: its signal aborts. */
  endStalled (error: MissionError): void {
    const abort = this.#abort
    if (!this.fail(error).applied) return
    this.#isForced = true
    // Kept, so that who looks at the signal from now on sees it aborted too.
    this.#abort = abort ?? new AbortController()
    this.#abort.abort(new CancelledError({ requested: true, kind: 'stall', reason: error.message, by: null }))
  }

  /** Ends a mission whose scope is left without an ending as `error` with the code `abandoned`. */
  async [Symbol.asyncDispose] (): Promise<void> {
    if (!this.isTerminal) this.fail({ code: 'abandoned', message: 'The scope of the mission was left before it ended' })
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
      parentId: this.parentId,
      status: this.status,
      seq: this.#seq,
      startedAt: this.startedAt,
      updatedAt: this.#updatedAt,
      endedAt: this.#endedAt,
      durationMs: this.#outcome?.durationMs ?? null,
      progress: this.#progress && { ...this.#progress },
      error: this.#error && { ...this.#error },
      cancel: this.#cancel && { ...this.#cancel },
      stalled: this.#isStalled,
      waiting: this.#waiting,
      tasks: this.#tasks?.list() ?? [],
      tasksOmitted: this.#tasks?.omitted ?? 0,
      lateOutcome: this.#lateOutcome
    }
  }

  /** Counts one message about this mission. */
  nextSeq (): number { return ++this.#seq }

  get lastProgress (): Progress | null { return this.#progress }

  get error (): MissionError | null { return this.#error }

  /** The status before the terminal one; `undefined` while there is none. */
  get endedFrom (): MissionStatus | undefined { return this.#endedFrom }

  /** How many messages there were about it. */
  get seq (): number { return this.#seq }

  /** When it ended, in ms since 1970, or `null`. */
  get endedAt (): number | null { return this.#endedAt }

  // Made on first use: most missions end without anybody ever looking at their signal.
  get #controller (): AbortController {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#cancel !== null) this.#abort.abort(new CancelledError(this.#cancel))
    }
    return this.#abort
  }

  get #knownTasks (): Tasks { return (this.#tasks ??= this.#host.makeTasks()) }

  #isNewProgress (progress: Progress | undefined): boolean {
    const last = this.#progress
    if (progress === undefined) return false
    return last === null || progress.taskId !== last.taskId || progress.index !== last.index ||
      progress.total !== last.total || progress.status !== last.status
  }

  #judge (status: MissionStatus, { progress }: MissionDetails): Refusal | undefined {
    return judge(this.#status, status, this.#isNewProgress(progress))
  }

  // All code of the host that a change needs runs here, before anything has changed.
  #prepare (status: MissionStatus, details: MissionDetails): Prepared {
    const error = details.error === undefined ? undefined : this.#host.readError(details.error)
    const shown = this.#host.showDetails(details)
    if (isTerminal(status)) this.#host.ending(this)
    return { error, shown }
  }

  #apply (status: MissionStatus, details: MissionDetails, { error, shown }: Prepared): ReportResult {
    const previousStatus = this.#status
    this.#status = status
    if (details.progress !== undefined) this.#note(details.progress)
    if (Array.isArray(details.tasksSummary)) this.#knownTasks.plan(details.tasksSummary.length)
    if (error !== undefined) this.#error = Object.freeze(error)
    if (isTerminal(status)) {
      this.#endedFrom = previousStatus
      this.#end(status)
    }
    // A change of the status is told at once: only further progress has time.
    if (previousStatus === status) this.#touch(shown, true)
    else this.#touch(previousStatus === undefined ? shown : { ...shown, previousStatus }, false)
    if (this.#outcome !== undefined) this.#settle(this.#outcome)
    return APPLIED
  }

  // Written over in place: a new object at every report would outlive the young generation in each of many missions.
  #note (progress: Progress): void {
    const { taskId, index, total, status } = progress
    const known = (this.#progress ??= { taskId, index, total, status })
    known.taskId = taskId
    known.index = index
    known.total = total
    known.status = status
    this.#knownTasks.note(progress)
  }

  #end (status: TerminalStatus): void {
    const durationMs = this.#host.monotonic() - this.#startedMonotonic
    this.#endedAt = this.#host.now()
    this.#outcome = Object.freeze({ id: this.id, status, error: this.#error, cancel: this.#cancel, durationMs })
    this.#clearStall()
    this.#host.ended(this, this.#outcome)
  }

  // An ended mission is kept for long, and what only its work needed is a large part of it.
  #settle (outcome: MissionOutcome): void {
    const enders = this.#enders ?? []
    this.#enders = this.#abort = this.#log = undefined
    for (const listener of enders) this.#host.callListener(() => listener(outcome))
  }

  #keepLate (status: TerminalStatus): void {
    this.#lateOutcome ??= status
    this.#host.endedLate()
  }

  // Whether it was stalled or waited, which whoever calls this has to tell.
  #showLife (): boolean {
    if (this.isTerminal) return false
    this.#activeMonotonic = this.#host.monotonic()
    const wasResting = this.#isStalled || this.#waiting !== null
    this.#clearStall()
    return wasResting
  }

  #clearStall (): void {
    this.#waiting = null
    if (!this.#isStalled) return
    this.#isStalled = false
    this.#host.stalled(false)
  }

  #touch (step: MissionStep, isSoft: boolean): void {
    this.#updatedAt = this.#host.now()
    this.#host.changed(this, step, isSoft)
  }
}
