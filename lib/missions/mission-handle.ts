import type { MissionInit, MissionStatus, MissionView } from '../../schemas/mission.js'
import { readCancelRequest } from './input/cancel.js'
import { checkReason } from './input/checks.js'
import { readDetails } from './input/details.js'
import { readProgress } from './input/progress.js'
import { taskIdOf } from './input/text.js'
import type { ReportResult } from './state/lifecycle.js'
import type { MissionState } from './state/mission-state.js'
import type { Mission } from './mission.js'
import type {
  CancelRequest, CancelResult, MissionDetails, MissionLog, MissionOutcome, ProgressInput
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
  get startedAt (): number { return this.#state.startedAt }
  get status (): MissionStatus { return this.#state.status }
  get isTerminal (): boolean { return this.#state.isTerminal }
  get isStalled (): boolean { return this.#state.isStalled }
  get metadata (): unknown { return structuredClone(this.#state.metadata) }
  get signal (): AbortSignal { return this.#state.signal }
  get log (): MissionLog { return this.#state.log }
  get done (): Promise<MissionOutcome> { return this.#state.done }
  get outcome (): MissionOutcome | undefined { return this.#state.outcome }

  onEnd (listener: (outcome: MissionOutcome) => void): () => void { return this.#state.onEnd(listener) }

  report (status: MissionStatus, details: MissionDetails = {}): ReportResult { return this.#report(status, details) }

  tasksGenerated (tasksSummary?: unknown): ReportResult { return this.#report('tasks_generated', { tasksSummary }) }

  planned (planningSession?: unknown): ReportResult { return this.#report('planned', { planningSession }) }

  executionStarted (): ReportResult { return this.#state.report('execution_started', {}) }

  progress (input?: ProgressInput): ReportResult {
    const progress = readProgress(input)
    return this.#state.report('execution_progress', progress === undefined ? {} : { progress })
  }

  complete (): ReportResult { return this.#state.report('completed', {}) }

  fail (error: unknown): ReportResult { return this.#report('error', { error: error ?? null }) }

  cancelled (reason?: string): ReportResult {
    if (reason !== undefined && !this.#state.isTerminal) checkReason(reason)
    return this.#state.report('cancelled', reason === undefined ? {} : { cancelReason: reason })
  }

  async task<T> (taskId: string, run: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const progressOf = this.#state.nextTask(taskIdOf(taskId))
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

  child (init: string | Omit<MissionInit, 'id'>): Mission { return this.#state.startChild(init).handle }

  annotate (metadata: Record<string, unknown>): void { this.#state.annotate(metadata) }

  heartbeat (): void { this.#state.heartbeat() }

  waiting (reason: string): void {
    if (this.#state.isTerminal) return
    checkReason(reason)
    this.#state.wait(reason)
  }

  extendTimeout (ms: number): void { this.#state.extendTimeout(ms) }

  cancel (request: CancelRequest = {}): CancelResult {
    return this.#state.requestCancel('request', readCancelRequest(request))
  }

  view (): MissionView { return this.#state.view() }

  toJSON (): MissionView { return this.#state.view() }

  async [Symbol.asyncDispose] (): Promise<void> {
    if (!this.#state.isTerminal) this.#report('error', { error: ABANDONED })
  }

  #report (status: MissionStatus, details: MissionDetails): ReportResult {
    return this.#state.report(status, readDetails(status, details))
  }
}
