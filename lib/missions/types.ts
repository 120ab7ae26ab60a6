import type {
  CancelState, HostCancelKind, MissionAttempt, MissionError, MissionInit, MissionNote, MissionStatus, MissionTime,
  TerminalStatus
} from '../../schemas/mission.js'

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

/** Optional details of a report. `null` counts as absent. */
export interface MissionDetails {
  /** A summary of the tasks in the host's own shape. The first entries of a list are sent. */
  tasksSummary?: unknown
  /** The plan in the host's own shape; beyond `missions.maxInlineBytes` it is cut visibly. */
  planningSession?: unknown
  progress?: ProgressInput
  /** Any thrown value, or `{ code, message }`. Its code, its message and the codes of its causes are kept. */
  error?: unknown
  /** Merged into the metadata of the mission. */
  metadata?: Record<string, unknown> | null | undefined
  /** What the mission waits for: pauses stall detection until the next report. */
  waiting?: string | null | undefined
  /** Only with `cancelled`: why, by whom, and what kind of cancel it is. */
  reason?: string | null | undefined
  by?: string | null | undefined
  kind?: HostCancelKind | null | undefined
  /** The parent of the mission, which may be registered later. */
  parentId?: string | null | undefined
  /** When the mission was queued, started and ended. Its duration is computed from them. */
  queuedAt?: MissionTime | null | undefined
  startedAt?: MissionTime | null | undefined
  /** Only with a terminal status. */
  endedAt?: MissionTime | null | undefined
}

/**
 * Details of a report by id. What a mission is started with is used if the report registers the mission or starts a new
 * attempt of it.
 */
export interface ReportDetails extends MissionDetails, Nullable<Omit<MissionInit, 'id' | keyof MissionDetails>> {}

type Nullable<T> = { [Name in keyof T]?: T[Name] | null | undefined }

/** How a child is started: its parent is the mission that starts it. */
export type ChildInit = string | Omit<MissionInit, 'parentId'>

/** A cancel request: the reason, who requested it, and its kind, `request` by default. */
export interface CancelRequest {
  reason?: string | undefined
  by?: string | undefined
  kind?: HostCancelKind | undefined
}

/** The result of a cancel request. A request alone never changes the status. */
export type CancelResult = 'requested' | 'already_requested' | 'terminal' | 'not_found'

/** How a mission ended. */
export interface MissionOutcome {
  readonly id: string
  readonly attempt: number
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

/** What a mission is started with, after its texts were cut. A new attempt takes over what is `undefined`. */
export interface CheckedInit {
  id?: string | undefined
  name?: string | undefined
  objective?: string | undefined
  tags?: readonly string[] | undefined
  /** Comes with `tags`. */
  tagsOmitted?: number | undefined
  metadata?: Record<string, unknown> | undefined
  tenant?: string | undefined
  timeoutMs?: number | undefined
  parentId?: string | undefined
  attempt?: number | 'next' | undefined
  queuedAt?: number | undefined
  startedAt?: number | undefined
}

/** The texts of the host that can be cut. */
export const CUT_FIELDS =
  ['name', 'objective', 'tags', 'task_id', 'task_status', 'reason', 'by', 'waiting', 'note'] as const
export type CutField = (typeof CUT_FIELDS)[number]

/** Cuts texts of the host and counts how often. */
export interface TextCuts {
  /** The text, or its beginning with an ellipsis at the end. */
  cut (field: CutField, text: string, maxCharacters: number): string
  count (field: CutField): void
}

/** The earlier attempts of a mission, oldest first. Never changed: the next attempt has a list of its own. */
export interface AttemptHistory { readonly attempts: readonly MissionAttempt[], readonly omitted: number }

/** Times that the host has reported, in ms since 1970. */
export interface ReportedTimes {
  queuedAt?: number | undefined
  startedAt?: number | undefined
  endedAt?: number | undefined
}

/** The details of a report after input validation, without what is absent. */
export interface CheckedDetails {
  tasksSummary?: unknown
  planningSession?: unknown
  progress?: CheckedProgress
  error?: unknown
  metadata?: unknown
  waiting?: string
  cancel?: CancelRequest
  parentId?: string
  times?: ReportedTimes
}

/** One change as it is emitted: what it brings, and which other parts of the mission the update includes. */
export interface MissionStep {
  tasksSummary?: unknown
  planningSession?: unknown
  note?: MissionNote
  /** Present when the status changed. */
  previousStatus?: MissionStatus
  includesProgress?: true
  includesCancel?: true
  includesMetadata?: true
  /** The parent and the times, which were reported after the first update. */
  includesOrigin?: true
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

/**
 * The reason of the aborted `signal` of a mission that has ended in another process: its own process was taken for dead
 * (`FST_MC_PROCESS_LOST`), or another one has reported the ending first (`FST_MC_ENDED_ELSEWHERE`).
 */
export class EndedElsewhereError extends Error {
  readonly code: 'FST_MC_PROCESS_LOST' | 'FST_MC_ENDED_ELSEWHERE'
  readonly outcome: MissionOutcome

  constructor (outcome: MissionOutcome) {
    const isLost = outcome.error?.code === 'process_lost'
    super(isLost ? 'The mission was ended, because its process did not answer' : 'The mission has ended elsewhere')
    this.name = 'EndedElsewhereError'
    this.code = isLost ? 'FST_MC_PROCESS_LOST' : 'FST_MC_ENDED_ELSEWHERE'
    this.outcome = outcome
  }
}
