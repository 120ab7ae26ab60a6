import type { MissionStatus, MissionView } from '../../schemas/mission.js'
import { cutReason, cutWaiting, readCancelRequest } from './input/cancel.js'
import { checkId } from './input/checks.js'
import { readDetails } from './input/details.js'
import { readNote } from './input/note.js'
import { readProgress } from './input/progress.js'
import { taskIdOf } from './input/text.js'
import type { ReportResult } from './state/lifecycle.js'
import type { MissionState } from './state/mission-state.js'
import type { Mission } from './mission.js'
import type {
  CancelRequest, CancelResult, ChildInit, MissionDetails, MissionLog, MissionOutcome, ProgressInput
} from './types.js'

const ABANDONED = { code: 'abandoned', message: 'The scope of the mission was left before it ended' }

/**
 * The handle that hosts get. It checks what the host passes and hands it to the state, of which it exposes nothing
 * else.
 */
export class MissionHandle implements Mission {
  readonly #state: MissionState

  constructor (state: MissionState) {
    this.#state = state
  }

  get id (): string { return this.#state.id }
  get name (): string { return this.#state.name }
  get objective (): string | null { return this.#state.objective }
  get tags (): readonly string[] { return this.#state.tags }
  get tenant (): string | null { return this.#state.tenant }
  get parentId (): string | null { return this.#state.parentId }
  get attempt (): number { return this.#state.attempt }
  get isTracked (): boolean { return this.#state.isTracked }
  get queuedAt (): number | null { return this.#state.queuedAt }
  get startedAt (): number { return this.#state.startedAt }
  get status (): MissionStatus { return this.#state.status }
  get isTerminal (): boolean { return this.#state.isTerminal }
  get isStalled (): boolean { return this.#state.isStalled }
  get metadata (): unknown { return structuredClone(this.#state.metadata) }
  get signal (): AbortSignal { return this.#state.signal }
  get log (): MissionLog { return this.#state.log }
  get done (): Promise<MissionOutcome> { return this.#state.done }
  get outcome (): MissionOutcome | undefined { return this.#state.outcome }

  async settled (): Promise<MissionOutcome> { return await this.#state.settled() }

  onEnd (listener: (outcome: MissionOutcome) => void): () => void { return this.#state.onEnd(listener) }

  report (status: MissionStatus, details: MissionDetails = {}): ReportResult { return this.#report(status, details) }

  tasksGenerated (tasksSummary?: unknown): ReportResult { return this.#report('tasks_generated', { tasksSummary }) }

  planned (planningSession?: unknown): ReportResult { return this.#report('planned', { planningSession }) }

  executionStarted (): ReportResult { return this.#state.report('execution_started', {}) }

  progress (input?: ProgressInput): ReportResult {
    const progress = readProgress(input, this.#state.cuts)
    return this.#state.report('execution_progress', progress === undefined ? {} : { progress })
  }

  complete (): ReportResult { return this.#state.report('completed', {}) }

  fail (error: unknown): ReportResult { return this.#report('error', { error: error ?? null }) }

  cancelled (reason?: string): ReportResult {
    if (reason === undefined || this.#state.isTerminal) return this.#state.report('cancelled', {})
    return this.#state.report('cancelled', { cancel: { reason: cutReason(reason, this.#state.cuts) } })
  }

  async task<T> (taskId: string, run: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const progressOf = this.#state.nextTask(taskIdOf(taskId, this.#state.cuts))
    const report = (status: string) => this.#state.report('execution_progress', { progress: progressOf(status) })
    report('started')
    try {
      const value = await run(this.signal)
      report('completed')
      return value
    } catch (err) {
      report('failed')
      throw err
    }
  }

  child (init: ChildInit): Mission { return this.#state.startChild(init).handle }

  setParent (id: string): ReportResult {
    checkId(id)
    return this.#state.setParent(id)
  }

  retry (): Mission { return this.#state.retry().handle }

  annotate (metadata: Record<string, unknown>): void { this.#state.annotate(metadata) }

  note (text: string, data?: unknown): ReportResult {
    return this.#state.note(...readNote(text, data, this.#state.cuts))
  }

  heartbeat (): void { this.#state.heartbeat() }

  waiting (reason: string): void {
    if (this.#state.isTerminal) return
    this.#state.wait(cutWaiting(reason, this.#state.cuts))
  }

  extendTimeout (ms: number): void { this.#state.extendTimeout(ms) }

  cancel (request: CancelRequest = {}): CancelResult {
    const { kind = 'request', ...rest } = readCancelRequest(request, this.#state.cuts)
    return this.#state.requestCancel(kind, rest)
  }

  view (): MissionView { return this.#state.view() }

  toJSON (): MissionView { return this.#state.view() }

  async [Symbol.asyncDispose] (): Promise<void> {
    if (!this.#state.isTerminal) this.#report('error', { error: ABANDONED })
  }

  #report (status: MissionStatus, details: MissionDetails): ReportResult {
    const { cuts, clock } = this.#state
    return this.#state.report(status, readDetails(status, details, cuts, clock.now()))
  }
}
