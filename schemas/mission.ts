import { Type, type Static } from '@sinclair/typebox'
import { LONGEST_TIMER_MS } from './limits.js'

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

/** A mission's id: 1 to 128 characters. */
export const MissionId = Type.String({ minLength: 1, maxLength: 128 })

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

/** Why a mission failed: a code for programs and at most 2 KiB of text for people; never a stack trace. */
export const MissionError = Type.Object({
  code: Type.String({ minLength: 1, maxLength: 64 }),
  message: Type.String({ maxLength: 2_048 })
})
export type MissionError = Static<typeof MissionError>

/** How a mission is started. `timeoutMs` counts from the start and overrides the option `missions.timeoutMs`. */
export const MissionInit = Type.Object({
  id: Type.Optional(MissionId),
  name: Type.String({ minLength: 1, maxLength: 128 }),
  objective: Type.Optional(Type.String({ maxLength: 2_048 })),
  tags: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { maxItems: 10 })),
  metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  tenant: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: LONGEST_TIMER_MS }))
}, { additionalProperties: false })
export type MissionInit = Static<typeof MissionInit>

/** What requested that a mission is cancelled. */
export const CancelKind = Type.Union([
  Type.Literal('request'), Type.Literal('client'), Type.Literal('timeout'),
  Type.Literal('stall'), Type.Literal('parent'), Type.Literal('shutdown')
])
export type CancelKind = Static<typeof CancelKind>

/** A cancel request, as clients see it. `forced` is present if the mission did not end within the grace period. */
export const CancelState = Type.Object({
  requested: Type.Literal(true),
  kind: CancelKind,
  reason: Type.Union([Type.String({ maxLength: 256 }), Type.Null()]),
  by: Type.Union([Type.String({ maxLength: 128 }), Type.Null()]),
  forced: Type.Optional(Type.Literal(true))
})
export type CancelState = Static<typeof CancelState>

/** One task of a mission with its last status; `index` is its position among the tasks of the mission, from 1. */
export const MissionTask = Type.Object({
  taskId: Type.String(),
  index: Type.Integer({ minimum: 1 }),
  status: Type.String()
})
export type MissionTask = Static<typeof MissionTask>

/**
 * One mission as `missions.list` returns it: a copy. Times are in ms since 1970. While `waiting` holds a reason the
 * mission does not count as stalled.
 */
export const MissionView = Type.Object({
  id: MissionId,
  name: Type.String(),
  objective: Type.Union([Type.String(), Type.Null()]),
  tags: Type.Array(Type.String()),
  metadata: Type.Unknown(),
  tenant: Type.Union([Type.String(), Type.Null()]),
  parentId: Type.Union([MissionId, Type.Null()]),
  status: MissionStatus,
  seq: Type.Integer({ minimum: 0 }),
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
  lateOutcome: Type.Union([MissionStatus, Type.Null()])
})
export type MissionView = Static<typeof MissionView>

/**
 * Totals over all missions since the service started. `total` is the sum of `active`, `completed`, `cancelled` and
 * `errors`; `avgDurationMs` is `null` until a mission has ended. `stalled` counts the active missions that are stalled
 * now, `lateOutcomes` the endings reported for missions that had ended, `refused` the missions refused by `maxActive`.
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
  refused: Type.Integer({ minimum: 0 })
})
export type MissionTotals = Static<typeof MissionTotals>

/**
 * Selects missions: every given condition must match. `since` and `until` are in ms since 1970 and limit the start
 * time.
 */
export const MissionFilter = Type.Object({
  status: Type.Optional(MissionStatus),
  name: Type.Optional(Type.String({ maxLength: 128 })),
  tag: Type.Optional(Type.String({ maxLength: 128 })),
  tenant: Type.Optional(Type.String({ maxLength: 128 })),
  stalled: Type.Optional(Type.Boolean()),
  since: Type.Optional(Type.Number()),
  until: Type.Optional(Type.Number()),
  /** A part of the id, the name or the objective; case-insensitive. */
  q: Type.Optional(Type.String({ maxLength: 128 }))
}, { additionalProperties: false })
export type MissionFilter = Static<typeof MissionFilter>

/** One page of missions, newest first; `cursor` is the `nextCursor` of the previous page. */
export const MissionQuery = Type.Object({
  ...MissionFilter.properties,
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
  cursor: Type.Optional(Type.String({ pattern: '^[0-9]{1,16}$' }))
}, { additionalProperties: false })
export type MissionQuery = Static<typeof MissionQuery>
