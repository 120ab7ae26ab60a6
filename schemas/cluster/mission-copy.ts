import { Type, type Static } from '@sinclair/typebox'
import { LONGEST_TIMER_MS } from '../limits.js'
import {
  CancelState, MissionAttempt, MissionError, MissionId, MissionNote, MissionStatus, MissionTask, MISSION_STATUSES,
  Progress, TERMINAL_STATUSES
} from '../mission.js'

const Count = Type.Optional(Type.Integer({ minimum: 1 }))
const Flag = Type.Optional(Type.Literal(true))

/**
 * A mission as processes pass it to each other, beside what their log knows of it (id, tenant, attempt, status and
 * number of updates). Fields with their usual value are left out. Times are in ms since 1970.
 */
export const MissionCopy = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 256 }),
  startedAt: Type.Integer(),
  updatedAt: Type.Integer(),
  objective: Type.Optional(Type.String()),
  tags: Type.Optional(Type.Array(Type.String())),
  tagsOmitted: Count,
  metadata: Type.Optional(Type.Unknown()),
  /** Only if it is not `metadata`. */
  startMetadata: Type.Optional(Type.Unknown()),
  parentId: Type.Optional(MissionId),
  timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: LONGEST_TIMER_MS })),
  queuedAt: Type.Optional(Type.Integer()),
  endedAt: Type.Optional(Type.Integer()),
  durationMs: Type.Optional(Type.Number({ minimum: 0 })),
  progress: Type.Optional(Progress),
  error: Type.Optional(MissionError),
  cancel: Type.Optional(CancelState),
  isCancelRequested: Flag,
  stalled: Flag,
  waiting: Type.Optional(Type.String({ maxLength: 256 })),
  statusBeforeEnd: Type.Optional(MissionStatus),
  /** Statuses before the end and when each was reached: a number in `MISSION_STATUSES`, and ms after `startedAt`. */
  reached: Type.Optional(Type.Array(Type.Integer(), { maxItems: 2 * MISSION_STATUSES.length })),
  lateOutcome: Type.Optional(Type.Union(TERMINAL_STATUSES.map((status) => Type.Literal(status)))),
  tasks: Type.Optional(Type.Array(MissionTask, { maxItems: 200 })),
  tasksOmitted: Count,
  notes: Type.Optional(Type.Array(MissionNote, { maxItems: 20 })),
  notesOmitted: Count,
  attempts: Type.Optional(Type.Array(MissionAttempt, { maxItems: 10 })),
  attemptsOmitted: Count
})
export type MissionCopy = Static<typeof MissionCopy>
