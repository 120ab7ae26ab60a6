import type { CancelState, MissionError, MissionStatus, Progress, TerminalStatus } from '../../schemas/mission.js'

/** What a report may carry besides the status. */
export interface MissionDetails {
  /** A few lines on the tasks, in the host's own shape; of a list the first entries are sent. */
  tasksSummary?: unknown
  /** The plan, in the host's own shape; a large one is cut visibly. */
  planningSession?: unknown
  progress?: Progress | undefined
  /** Whatever was thrown, or `{ code, message }`; only the code and the message are kept. */
  error?: unknown
}

/** A request to cancel: who asked, and why. */
export interface CancelRequest { reason?: string | undefined, by?: string | undefined }

/** What became of a request to cancel. The status never changes by a request alone. */
export type CancelResult = 'requested' | 'already_requested' | 'terminal' | 'not_found'

/** How a mission ended. */
export interface MissionOutcome {
  readonly id: string
  readonly status: TerminalStatus
  readonly error: MissionError | null
  readonly cancel: CancelState | null
  readonly durationMs: number
}

/** A logger of the host, as far as missions hand it on. */
export interface MissionLog {
  trace (...args: unknown[]): void
  debug (...args: unknown[]): void
  info (...args: unknown[]): void
  warn (...args: unknown[]): void
  error (...args: unknown[]): void
}

/** The details of a report after input validation. */
export interface CheckedDetails extends MissionDetails {
  /** Why the host ended the mission as `cancelled`. */
  cancelReason?: string
}

/** One change as it is emitted: the reported details, and which other parts of the mission the update includes. */
export interface MissionStep extends MissionDetails {
  /** Present when the status changed. */
  previousStatus?: MissionStatus
  includesCancel?: true
  includesMetadata?: true
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
