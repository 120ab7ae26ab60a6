import type { MissionSubject } from '../../../schemas/access.js'
import type { CancelState, MissionError, MissionStatus, TerminalStatus } from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import type { AttemptHistory, CheckedInit, KeptProgress, MissionOutcome } from '../types.js'
import type { Payloads } from '../payload/payload.js'
import { historyAfter } from './parts/attempts.js'
import type { Notes } from './parts/notes.js'
import type { Reached } from './parts/status-times.js'
import { Tasks } from './parts/tasks.js'

/**
 * What a mission is from its start on. `number` orders the missions by their start: it counts those of this process,
 * or is that of the shared log.
 * `previous` is the attempt before this one, from which everything is taken over that `init` does not have.
 */
export interface MissionIdentity {
  readonly id: string
  readonly number: number
  readonly attempt: number
  readonly init: CheckedInit
  readonly isTracked: boolean
  readonly previous: MissionFields | undefined
  /** The number of the last update of the attempt before this one. */
  readonly lastSeq: number
  /** How many attempts are known to have ended. */
  readonly ended: number
}

const NO_TAGS: readonly string[] = Object.freeze([])

/**
 * Everything known about one mission, for those who read it: queries, updates, views. Written by its subclasses alone.
 */
export class MissionFields {
  readonly id: string
  name: string
  objective: string | null
  tags: readonly string[]
  tagsOmitted: number
  readonly tenant: string | null
  timeoutMs: number | undefined
  readonly attempt: number
  history: AttemptHistory
  /** Whether the registry holds it, so that it is counted and watchers see it. */
  readonly isTracked: boolean
  /** Orders the missions by their start; see `MissionIdentity`. */
  number: number
  /** The number of the first update of this attempt; 0 if another process has sent it. */
  firstSeq: number

  status: MissionStatus = 'planning_started'
  /** How many updates there were; written by the update stream. */
  seq: number
  parentId: string | null
  /** Whether the parent is of another tenant, to which its id must not be shown; written by the lineage. */
  isParentForeign = false
  queuedAt: number | null
  startedAt: number
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
  reached: Reached
  outcome: MissionOutcome | undefined
  notes: Notes | undefined
  /** The process that runs the mission; `null` if there is only one. */
  instance: string | null = null
  /** Whether another process has started it. */
  isAdopted = false
  /** Whether a function of this process is the mission. */
  isRun = false

  /** The metadata of the first report. */
  startMetadata: unknown = null

  protected isReported = false
  protected readonly startedMonotonic: number
  /** Whether the host has reported when it started. */
  protected isStartReported: boolean
  protected taskList: Tasks | undefined
  #subject: MissionSubject | undefined

  constructor (identity: MissionIdentity, clock: Clock, payloads: Payloads) {
    const { id, number, attempt, init, isTracked, previous, lastSeq, ended } = identity
    this.id = id
    this.number = number
    this.attempt = attempt
    this.isTracked = isTracked
    this.history = historyAfter(previous, ended)
    this.seq = lastSeq
    this.firstSeq = lastSeq + 1
    this.name = init.name ?? previous?.name ?? id
    this.objective = init.objective === undefined ? previous?.objective ?? null : payloads.objective(init.objective)
    this.tags = init.tags === undefined ? previous?.tags ?? NO_TAGS : Object.freeze([...init.tags])
    this.tagsOmitted = init.tagsOmitted ?? previous?.tagsOmitted ?? 0
    this.tenant = init.tenant ?? previous?.tenant ?? null
    this.timeoutMs = init.timeoutMs ?? previous?.timeoutMs
    this.metadata = init.metadata === undefined ? previous?.metadata ?? null : payloads.metadata(null, init.metadata)
    this.parentId = init.parentId ?? previous?.parentId ?? null
    this.updatedAt = clock.now()
    this.queuedAt = init.queuedAt ?? null
    this.startedAt = init.startedAt ?? this.updatedAt
    this.isStartReported = init.startedAt !== undefined
    this.startedMonotonic = this.activeMonotonic = clock.monotonic()
  }

  get shownParentId (): string | null { return this.isParentForeign ? null : this.parentId }

  /** What the host decides by whether somebody may see it; always the same object. */
  get subject (): MissionSubject {
    const { id, name, tenant, tags, startMetadata: metadata } = this
    return (this.#subject ??= Object.freeze({ id, name, tenant, tags, metadata }))
  }

  get isTerminal (): boolean { return this.outcome !== undefined }

  /** How many attempts have ended, this one included. */
  get ended (): number { return this.history.attempts.length + this.history.omitted + 1 }

  get durationMs (): number | null { return this.outcome?.durationMs ?? null }

  /** The tasks that are kept, for views. */
  get tasks (): Pick<Tasks, 'list' | 'omitted'> | undefined { return this.taskList }

  protected get knownTasks (): Tasks { return (this.taskList ??= new Tasks()) }
}
