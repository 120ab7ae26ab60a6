import type { CancelState, MissionError, MissionStatus, TerminalStatus } from '../../schemas/mission.js'

/**
 * How far the work is: one task of the mission, or the whole mission if there is no `taskId`. Nothing is required.
 * `fraction` (0 to 1) or `percent` (0 to 100) is used instead of `index` and `total` where both are known.
 */
export interface ProgressParts {
  taskId?: string | number | bigint | null | undefined
  /** How many are done, or the position of the task, counted from 1. */
  index?: number | bigint | string | null | undefined
  total?: number | bigint | string | null | undefined
  status?: string | number | null | undefined
  percent?: number | bigint | string | null | undefined
  fraction?: number | string | null | undefined
}

/**
 * What can be reported as progress. A number is a percentage from 0 to 100, text is the status, and an object is read
 * as far as its properties are known. Anything else shows that the work is alive.
 */
export type ProgressInput = number | string | ProgressParts | object | boolean | bigint | null | undefined

/** Progress after input validation. */
export interface CheckedProgress {
  taskId: string
  /** 0 if it is unknown. */
  index: number
  /** 0 if it is unknown. */
  total: number
  status: string
  /** From 0 to 1; `NaN` if it is unknown. */
  fraction: number
  /** Whether `index` is the position of a task, a share of one task, or a part of the whole mission. */
  kind: 'position' | 'share' | 'overall'
}

/** The last progress of a mission, within the limits of the wire; an unknown `fraction` is `NaN`. */
export type KeptProgress = Omit<CheckedProgress, 'kind'>

/** Optional details of a report. */
export interface MissionDetails {
  /** A summary of the tasks in the host's own shape. The first entries of a list are sent. */
  tasksSummary?: unknown
  /** The plan in the host's own shape; beyond `missions.maxInlineBytes` it is cut visibly. */
  planningSession?: unknown
  progress?: ProgressInput
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
  progress?: CheckedProgress
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
