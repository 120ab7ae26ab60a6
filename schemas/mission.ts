import { Type, type Static } from '@sinclair/typebox'

/** The eight statuses in the order of a mission's life; the last three are terminal and of equal rank. */
export const MISSION_STATUSES = [
  'planning_started', 'tasks_generated', 'planned', 'execution_started', 'execution_progress',
  'completed', 'cancelled', 'error'
] as const

/** The statuses that end a mission. */
export const TERMINAL_STATUSES = ['completed', 'cancelled', 'error'] as const

export const MissionStatus = Type.Union(MISSION_STATUSES.map((status) => Type.Literal(status)))
export type MissionStatus = (typeof MISSION_STATUSES)[number]
export type TerminalStatus = (typeof TERMINAL_STATUSES)[number]

/** A mission's id: 1 to 128 characters. */
export const MissionId = Type.String({ minLength: 1, maxLength: 128 })

/** How far one task is: `index` counts from 1 up to `total`. */
export const Progress = Type.Object({
  taskId: Type.String({ minLength: 1, maxLength: 128 }),
  index: Type.Integer({ minimum: 1 }),
  total: Type.Integer({ minimum: 1 }),
  status: Type.String({ minLength: 1, maxLength: 64 })
})
export type Progress = Static<typeof Progress>

/** Why a mission failed: a code for programs, at most 2 KiB of text for people, never a stack. */
export const MissionError = Type.Object({
  code: Type.String({ minLength: 1, maxLength: 64 }),
  message: Type.String({ maxLength: 2_048 })
})
export type MissionError = Static<typeof MissionError>

/** What a host says of a mission when it starts one. */
export const MissionInit = Type.Object({
  id: Type.Optional(MissionId),
  name: Type.String({ minLength: 1, maxLength: 128 }),
  objective: Type.Optional(Type.String({ maxLength: 2_048 })),
  tags: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { maxItems: 10 })),
  metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  tenant: Type.Optional(Type.String({ minLength: 1, maxLength: 128 }))
}, { additionalProperties: false })
export type MissionInit = Static<typeof MissionInit>

/** A request to cancel, as every viewer sees it. */
export const CancelState = Type.Object({
  requested: Type.Literal(true),
  kind: Type.String({ maxLength: 32 }),
  reason: Type.Union([Type.String({ maxLength: 256 }), Type.Null()]),
  by: Type.Union([Type.String({ maxLength: 128 }), Type.Null()])
})
export type CancelState = Static<typeof CancelState>

/** One mission as `missions.get` and `missions.list` show it: a copy, times in ms since 1970. */
export const MissionView = Type.Object({
  id: MissionId,
  name: Type.String(),
  objective: Type.Union([Type.String(), Type.Null()]),
  tags: Type.Array(Type.String()),
  metadata: Type.Unknown(),
  tenant: Type.Union([Type.String(), Type.Null()]),
  status: MissionStatus,
  seq: Type.Integer({ minimum: 0 }),
  startedAt: Type.Integer(),
  updatedAt: Type.Integer(),
  endedAt: Type.Union([Type.Integer(), Type.Null()]),
  durationMs: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
  progress: Type.Union([Progress, Type.Null()]),
  error: Type.Union([MissionError, Type.Null()]),
  cancel: Type.Union([CancelState, Type.Null()]),
  lateOutcome: Type.Union([MissionStatus, Type.Null()])
})
export type MissionView = Static<typeof MissionView>

/** Totals over all missions ever tracked; `total` = active + completed + cancelled + errors, the mean is `null` until one ended. */
export const MissionTotals = Type.Object({
  active: Type.Integer({ minimum: 0 }),
  completed: Type.Integer({ minimum: 0 }),
  cancelled: Type.Integer({ minimum: 0 }),
  errors: Type.Integer({ minimum: 0 }),
  total: Type.Integer({ minimum: 0 }),
  avgDurationMs: Type.Union([Type.Number({ minimum: 0 }), Type.Null()])
})
export type MissionTotals = Static<typeof MissionTotals>
