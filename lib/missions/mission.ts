import type { MissionStatus, MissionView } from '../../schemas/mission.js'
import type { ReportResult } from './state/lifecycle.js'
import type {
  CancelRequest, CancelResult, ChildInit, MissionDetails, MissionLog, MissionOutcome, ProgressInput
} from './types.js'

/**
 * One piece of long-running work, as the host holds it. Every method that reports is synchronous: when it returns, the
 * status, the times and the registry's totals have changed together. The first terminal status wins; a later one is
 * counted, kept as `lateOutcome`, and changes nothing. Reporting to a mission that has ended never throws.
 */
export interface Mission {
  readonly id: string
  readonly name: string
  /** The objective as watchers see it: the result of `serializers.objective`, if there is one. */
  readonly objective: string | null
  readonly tags: readonly string[]
  readonly tenant: string | null
  /** The id of the mission that this one belongs to. */
  readonly parentId: string | null
  /** Counts the runs of this mission from 1. A handle belongs to one attempt. */
  readonly attempt: number
  /** Whether the registry holds the mission. `false` only in a function that runs without one; see `run`. */
  readonly isTracked: boolean
  /** When the mission was queued, in ms since 1970; `null` if nobody has reported it. */
  readonly queuedAt: number | null
  /** When the mission started, in ms since 1970: as reported, or when it was registered. */
  readonly startedAt: number
  readonly status: MissionStatus
  readonly isTerminal: boolean
  /** Whether the mission has shown no activity for `missions.stallMs`. */
  readonly isStalled: boolean
  /** A JSON copy of the metadata, `null` if there is none. */
  readonly metadata: unknown
  /**
   * Aborts when the mission is asked to end, with a `CancelledError` that carries the request as `cancel`. With a
   * backplane, also when the mission has ended in another process, with an `EndedElsewhereError`.
   */
  readonly signal: AbortSignal
  /** A child logger of the host whose lines carry `missionId`. */
  readonly log: MissionLog
  /** Resolves with the outcome when the mission has ended; never rejects. */
  readonly done: Promise<MissionOutcome>
  /** How the mission ended; `undefined` while it is active. */
  readonly outcome: MissionOutcome | undefined

  /**
   * Resolves with the outcome once the ending is stored: with a backplane, when all processes have it, and as the one
   * that was reported first. Without a backplane it is `done`.
   *
   * @throws FST_MC_CLOSING if the service has closed before
   */
  settled (): Promise<MissionOutcome>
  /**
   * Calls `listener` once, when the mission ends; never for a mission that has already ended. Errors of the listener
   * are counted and logged.
   *
   * @returns a function that removes the listener
   */
  onEnd (listener: (outcome: MissionOutcome) => void): () => void
  /**
   * Reports a status. A repeated status is applied if its details have something new. A repeated ending is `repeated`,
   * another one after the ending is `terminal`.
   *
   * @returns `{ applied: true }`, or `{ applied: false, reason }` with `repeated`, `backward` or `terminal`
   * @throws FST_MC_UNKNOWN_STATUS for a status outside the eight
   * @throws FST_MC_INVALID_MISSION for a detail of the wrong type
   * @throws FST_MC_INVALID_TIME, FST_MC_INVALID_PARENT
   */
  report (status: MissionStatus, details?: MissionDetails): ReportResult
  /** Reports that the tasks of the plan are known. */
  tasksGenerated (tasksSummary?: unknown): ReportResult
  /** Reports that the plan is complete. */
  planned (planningSession?: unknown): ReportResult
  executionStarted (): ReportResult
  /**
   * Reports how far one task is, or without a `taskId` the whole mission: a percentage from 0 to 100, a text, or an
   * object. Values are clamped, never refused; without any, this shows that the work is alive. Repeating the last
   * progress is answered with `repeated`.
   *
   * @throws FST_MC_INVALID_MISSION for a function or a symbol
   */
  progress (progress: ProgressInput): ReportResult
  /** Ends the mission as `completed`. */
  complete (): ReportResult
  /** Ends the mission as `error`; `error` is any thrown value or `{ code, message }`. */
  fail (error: unknown): ReportResult
  /**
   * Ends the mission as `cancelled`. The reason becomes `cancel.reason`, unless a cancel was requested with one before.
   * `report('cancelled', { reason, by, kind })` says more.
   *
   * @throws FST_MC_INVALID_MISSION for a reason that is not a string
   */
  cancelled (reason?: string): ReportResult
  /**
   * Runs one task and reports its progress before (`started`) and after (`completed` or `failed`). Resolves or rejects
   * as `run` does; a task that throws does not end the mission. The id is cut visibly if it is too long, and `unnamed`
   * if there is none.
   */
  task<T> (taskId: string, run: (signal: AbortSignal) => T | Promise<T>): Promise<T>
  /**
   * Starts a mission that belongs to this one, or joins the active mission with this id. A cancel request for the
   * parent is passed on to its children. If the registry is full or closing, or the id has ended, the child is not
   * tracked.
   *
   * @throws FST_MC_INVALID_PARENT for the id of an active mission that belongs to another parent
   * @throws FST_MC_INVALID_MISSION, FST_MC_INVALID_TIME
   */
  child (init: ChildInit): Mission
  /**
   * Sets the parent of an active mission that has none. The parent may be registered later.
   *
   * @throws FST_MC_INVALID_PARENT if the mission belongs to another parent, or is an ancestor of this one
   * @throws FST_MC_INVALID_MISSION for an id that is not one
   */
  setParent (id: string): ReportResult
  /**
   * Starts the next attempt of a mission that has ended, and returns its handle. What is not reported anew is taken
   * over: name, objective, tags, tenant, metadata, parent, time-out.
   *
   * @throws FST_MC_MISSION_LIVE for an active mission; FST_MC_TOO_MANY_MISSIONS, FST_MC_CLOSING
   */
  retry (): Mission
  /**
   * Merges `metadata` into the existing metadata, which is cut visibly beyond `missions.maxMetadataBytes`. Ignored
   * after the end.
   */
  annotate (metadata: Record<string, unknown>): void
  /**
   * Adds a note, such as a signal, an approval or a warning. Every note is sent; the newest 20 are kept. `data` is
   * copied as JSON, and cut visibly beyond 1 KiB.
   *
   * @throws FST_MC_INVALID_MISSION for a text that is not a string
   */
  note (text: string, data?: unknown): ReportResult
  /** Shows that the work is alive, and reports nothing else. */
  heartbeat (): void
  /**
   * Pauses stall detection until the next sign of activity, because the work waits for something outside.
   *
   * @throws FST_MC_INVALID_MISSION for a reason that is not a string
   */
  waiting (reason: string): void
  /**
   * Moves the timeout of the mission to `ms` from now.
   *
   * @throws FST_MC_INVALID_MISSION for a time that is not a whole number of ms
   */
  extendTimeout (ms: number): void
  /**
   * Requests the end of the mission: aborts `signal` and notifies watchers. The status stays until the work ends or the
   * grace period `missions.cancelGraceMs` is over.
   *
   * @throws FST_MC_INVALID_MISSION for a reason or a requester that is not a string
   */
  cancel (request?: CancelRequest): CancelResult
  /** A copy of everything known about the mission. */
  view (): MissionView
  /** The view, so that `JSON.stringify`, loggers and replies of the host show a mission. */
  toJSON (): MissionView
  /** Ends a mission whose scope is left before it ended as `error` with the code `abandoned`. */
  [Symbol.asyncDispose] (): Promise<void>
}
