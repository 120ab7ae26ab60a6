import { Type, type Static } from '@sinclair/typebox'
import { LONGEST_TIMER_MS, MAX_ATTEMPT } from './limits.js'

/** The eight statuses in the order of a mission's lifecycle. The last three are terminal and of equal rank. */
export const MISSION_STATUSES = [
  'planning_started', 'tasks_generated', 'planned', 'execution_started', 'execution_progress',
  'completed', 'cancelled', 'error'
] as const

/** The statuses that end a mission. */
export const TERMINAL_STATUSES = ['completed', 'cancelled', 'error'] as const

export const MissionStatus = Type.Union(MISSION_STATUSES.map((status) => Type.Literal(status)))
export type MissionStatus = (typeof MISSION_STATUSES)[number]
export type TerminalStatus = (typeof TERMINAL_STATUSES)[number]

const TERMINAL: ReadonlySet<unknown> = new Set(TERMINAL_STATUSES)

/** Whether a status ends a mission. */
export const isTerminal = (status: unknown): status is TerminalStatus => TERMINAL.has(status)

/** A mission's id: 1 to 256 characters. */
export const MissionId = Type.String({ minLength: 1, maxLength: 256 })

/**
 * Progress of one task of a mission, or of the whole mission with the `taskId` `mission`. `index` counts from 1 up to
 * `total`; `fraction` is how much is done, absent if it is unknown.
 */
export const Progress = Type.Object({
  taskId: Type.String({ minLength: 1, maxLength: 256 }),
  index: Type.Integer({ minimum: 1 }),
  total: Type.Integer({ minimum: 1 }),
  status: Type.String({ minLength: 1, maxLength: 64 }),
  fraction: Type.Optional(Type.Number({ minimum: 0, maximum: 1 }))
})
export type Progress = Static<typeof Progress>

const ErrorCode = Type.String({ minLength: 1, maxLength: 64 })

/**
 * Why a mission failed: a code for programs and at most 2 KiB of text for people; never a stack trace. `causes` has the
 * codes of the causes of the error, nearest first; absent if there are none.
 */
export const MissionError = Type.Object({
  code: ErrorCode,
  message: Type.String({ maxLength: 2_048 }),
  causes: Type.Optional(Type.Array(ErrorCode, { minItems: 1, maxItems: 5 }))
})
export type MissionError = Static<typeof MissionError>

/** A time of the host: ms since 1970, or a `Date`. */
export type MissionTime = number | Date

const Time = Type.Unsafe<MissionTime>({})

/**
 * How a mission is started. Texts of any length are accepted and cut visibly. `timeoutMs` counts from the registration
 * and overrides the option `missions.timeoutMs`. An `attempt` above that of a mission that has ended starts a new
 * attempt of it, `next` the attempt after the last one.
 */
export const MissionInit = Type.Object({
  id: Type.Optional(MissionId),
  name: Type.String(),
  objective: Type.Optional(Type.String()),
  tags: Type.Optional(Type.Array(Type.String())),
  metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  tenant: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: LONGEST_TIMER_MS })),
  parentId: Type.Optional(MissionId),
  attempt: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: MAX_ATTEMPT }), Type.Literal('next')])),
  queuedAt: Type.Optional(Time),
  startedAt: Type.Optional(Time)
}, { additionalProperties: false })
export type MissionInit = Static<typeof MissionInit>

/** The kinds of cancel that the host can name. */
export const HOST_CANCEL_KINDS = ['request', 'timeout', 'skipped', 'superseded'] as const
export type HostCancelKind = (typeof HOST_CANCEL_KINDS)[number]

/** Why a mission is cancelled. `skipped`: it never had to run. `superseded`: a newer run has taken its place. */
export const CANCEL_KINDS =
  ['request', 'client', 'timeout', 'stall', 'parent', 'shutdown', 'skipped', 'superseded'] as const
export type CancelKind = (typeof CANCEL_KINDS)[number]
export const CancelKind = Type.Union(CANCEL_KINDS.map((kind) => Type.Literal(kind)))

/** A cancel request, as clients see it. `forced` is present if the mission did not end within the grace period. */
export const CancelState = Type.Object({
  requested: Type.Literal(true),
  kind: CancelKind,
  reason: Type.Union([Type.String({ maxLength: 256 }), Type.Null()]),
  by: Type.Union([Type.String({ maxLength: 128 }), Type.Null()]),
  forced: Type.Optional(Type.Literal(true))
})
export type CancelState = Static<typeof CancelState>

/**
 * One task of a mission with its last status; `index` is its position among the tasks of the mission, from 1.
 * `startedAt` is the time of its first report, `endedAt` that of the report with which it ended, both in ms since 1970.
 * `startedAt` is absent if a process with an older version of this package has kept the task.
 */
export const MissionTask = Type.Object({
  taskId: Type.String(),
  index: Type.Integer({ minimum: 1 }),
  status: Type.String(),
  startedAt: Type.Optional(Type.Integer()),
  endedAt: Type.Optional(Type.Integer())
})
export type MissionTask = Static<typeof MissionTask>

/** A status that a mission has had, and the time of its first report in ms since 1970. */
export const StatusTime = Type.Object({ status: MissionStatus, at: Type.Integer() })
export type StatusTime = Static<typeof StatusTime>

/** A note on a mission, such as a signal, an approval or a warning; `at` is in ms since 1970. */
export const MissionNote = Type.Object({
  text: Type.String({ maxLength: 1_024 }),
  data: Type.Optional(Type.Unknown()),
  at: Type.Integer()
})
export type MissionNote = Static<typeof MissionNote>

/** How an earlier attempt of a mission ended. */
export const MissionAttempt = Type.Object({
  attempt: Type.Integer({ minimum: 1 }),
  status: Type.Union(TERMINAL_STATUSES.map((status) => Type.Literal(status))),
  startedAt: Type.Integer(),
  endedAt: Type.Integer(),
  durationMs: Type.Number({ minimum: 0 }),
  error: Type.Union([MissionError, Type.Null()]),
  cancel: Type.Union([CancelState, Type.Null()])
})
export type MissionAttempt = Static<typeof MissionAttempt>

/**
 * One mission as `missions.list` returns it: a copy. `instance` is the process that runs it, `null` without a backplane
 * and for tenants. Times are in ms since 1970. While `waiting` holds a reason the mission does not count as stalled.
 * `attempts` are the earlier attempts and `statusTimes` the statuses of the current one, both oldest first; `notes` are
 * the newest notes. The fields that end in `Omitted` count what is not kept.
 */
export const MissionView = Type.Object({
  id: MissionId,
  name: Type.String(),
  objective: Type.Union([Type.String(), Type.Null()]),
  tags: Type.Array(Type.String()),
  tagsOmitted: Type.Integer({ minimum: 0 }),
  metadata: Type.Unknown(),
  tenant: Type.Union([Type.String(), Type.Null()]),
  parentId: Type.Union([MissionId, Type.Null()]),
  instance: Type.Union([Type.String(), Type.Null()]),
  status: MissionStatus,
  seq: Type.Integer({ minimum: 0 }),
  attempt: Type.Integer({ minimum: 1 }),
  attempts: Type.Array(MissionAttempt),
  attemptsOmitted: Type.Integer({ minimum: 0 }),
  queuedAt: Type.Union([Type.Integer(), Type.Null()]),
  startedAt: Type.Integer(),
  updatedAt: Type.Integer(),
  endedAt: Type.Union([Type.Integer(), Type.Null()]),
  durationMs: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
  progress: Type.Union([Progress, Type.Null()]),
  error: Type.Union([MissionError, Type.Null()]),
  cancel: Type.Union([CancelState, Type.Null()]),
  stalled: Type.Boolean(),
  waiting: Type.Union([Type.String(), Type.Null()]),
  tasks: Type.Array(MissionTask),
  tasksOmitted: Type.Integer({ minimum: 0 }),
  notes: Type.Array(MissionNote),
  notesOmitted: Type.Integer({ minimum: 0 }),
  statusTimes: Type.Array(StatusTime),
  lateOutcome: Type.Union([MissionStatus, Type.Null()])
})
export type MissionView = Static<typeof MissionView>

/**
 * Totals over all missions since the service started. `total` is the sum of `active`, `completed`, `cancelled` and
 * `errors`; `avgDurationMs` is `null` until a mission has ended. `stalled` counts the active missions that are stalled
 * now, `lateOutcomes` the different endings reported for missions that had ended, `refused` the missions refused by
 * `maxActive`, `untracked` the functions that ran without a tracked mission. Each attempt of a mission counts as one.
 */
export const MissionTotals = Type.Object({
  active: Type.Integer({ minimum: 0 }),
  completed: Type.Integer({ minimum: 0 }),
  cancelled: Type.Integer({ minimum: 0 }),
  errors: Type.Integer({ minimum: 0 }),
  total: Type.Integer({ minimum: 0 }),
  avgDurationMs: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
  stalled: Type.Integer({ minimum: 0 }),
  lateOutcomes: Type.Integer({ minimum: 0 }),
  refused: Type.Integer({ minimum: 0 }),
  untracked: Type.Integer({ minimum: 0 })
})
export type MissionTotals = Static<typeof MissionTotals>

/**
 * Selects missions: every given condition must match. `since` and `until` are in ms since 1970 and limit the start
 * time.
 */
export const MissionFilter = Type.Object({
  status: Type.Optional(MissionStatus),
  name: Type.Optional(Type.String({ maxLength: 256 })),
  tag: Type.Optional(Type.String({ maxLength: 128 })),
  parentId: Type.Optional(MissionId),
  tenant: Type.Optional(Type.String({ maxLength: 128 })),
  stalled: Type.Optional(Type.Boolean()),
  since: Type.Optional(Type.Number()),
  until: Type.Optional(Type.Number()),
  /** A part of the id, name, objective, a tag, or the code or message of the error; case-insensitive. */
  q: Type.Optional(Type.String({ maxLength: 128 }))
}, { additionalProperties: false })
export type MissionFilter = Static<typeof MissionFilter>

/** How many missions a page has. */
export const PAGE_SIZE = { default: 50, max: 200 } as const

/** One page of missions, newest first; `cursor` is the `nextCursor` of the previous page. */
export const MissionQuery = Type.Object({
  ...MissionFilter.properties,
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_SIZE.max, default: PAGE_SIZE.default })),
  cursor: Type.Optional(Type.String({ pattern: '^[0-9]{1,16}$' }))
}, { additionalProperties: false })
export type MissionQuery = Static<typeof MissionQuery>
