import type { CancelState, MissionError, MissionStatus, Progress, TerminalStatus } from '../../schemas/mission.js'

/** Optional details of a report. */
export interface MissionDetails {
  /** A summary of the tasks in the host's own shape. The first entries of a list are sent. */
  tasksSummary?: unknown
  /** The plan in the host's own shape; beyond `missions.maxInlineBytes` it is cut visibly. */
  planningSession?: unknown
  progress?: Progress | undefined
  /** Any thrown value, or `{ code, message }`. Only the code and the message are kept. */
  error?: unknown
}

/** A cancel request: the reason, and who requested it. */
export interface CancelRequest { reason?: string | undefined, by?: string | undefined }

/** The result of a cancel request. A request alone never changes the status. */
export type CancelResult = 'requested' | 'already_requested' | 'terminal' | 'not_found'

/** How a mission ended. */
export interface MissionOutcome {
  readonly id: string
  readonly status: TerminalStatus
  readonly error: MissionError | null
  readonly cancel: CancelState | null
  readonly durationMs: number
}

/** The part of the host's logger that a mission exposes. */
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
