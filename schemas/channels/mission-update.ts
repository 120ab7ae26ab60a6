import { Type, type Static } from '@sinclair/typebox'
import {
  CancelState, MissionAttempt, MissionError, MissionId, MissionNote, MissionStatus, MissionTask, Progress, StatusTime
} from '../mission.js'

/**
 * One update of one mission. `seq` counts the updates of a mission from 1, across its attempts.
 *
 * - `previousStatus` is present when the status changed.
 * - `attempt` is sent for every attempt but the first. `attempts`, the earlier attempts, are sent with snapshots.
 * - `objective`, `parentId`, `queuedAt` and `startedAt` are sent with the first update of an attempt, when they change,
 *   and with snapshots; `tenant` with the first update of an attempt and with snapshots, and so is `instance`, the
 *   process that runs the mission, if there are several and for clients that belong to no tenant.
 * - `note` is sent once, `notes`, the newest notes, with snapshots.
 * - `cancel` is sent with the update of the request and with the ending, `endedAt` with the ending.
 * - `error` is the message of an error, `errorCode` its code, and `errorCauses` has the codes of its causes, if any.
 * - `stalled` and `waiting` are sent for as long as they hold.
 * - `statusTimes`, `tasks` and `tasksOmitted` are sent in the reply to `mission_get` only.
 *
 * An update with `snapshot: true` is the current state of the mission instead of a change. Its `seq` is that of the
 * last update, 0 if there was none. Times are in ms since 1970.
 */
export const MissionUpdate = Type.Object({
  missionId: MissionId,
  status: MissionStatus,
  name: Type.String({ minLength: 1 }),
  seq: Type.Integer({ minimum: 0 }),
  tasksSummary: Type.Optional(Type.Unknown()),
  planningSession: Type.Optional(Type.Unknown()),
  progress: Type.Optional(Progress),
  error: Type.Optional(MissionError.properties.message),
  errorCode: Type.Optional(MissionError.properties.code),
  errorCauses: MissionError.properties.causes,
  cancel: Type.Optional(CancelState),
  metadata: Type.Optional(Type.Unknown()),
  parentId: Type.Optional(MissionId),
  objective: Type.Optional(Type.String()),
  tenant: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  instance: Type.Optional(Type.String()),
  tags: Type.Optional(Type.Array(Type.String())),
  previousStatus: Type.Optional(MissionStatus),
  tagsOmitted: Type.Optional(Type.Integer({ minimum: 1 })),
  attempt: Type.Optional(Type.Integer({ minimum: 2 })),
  attempts: Type.Optional(Type.Array(MissionAttempt)),
  note: Type.Optional(MissionNote),
  notes: Type.Optional(Type.Array(MissionNote)),
  queuedAt: Type.Optional(Type.Integer()),
  startedAt: Type.Optional(Type.Integer()),
  endedAt: Type.Optional(Type.Integer()),
  stalled: Type.Optional(Type.Literal(true)),
  waiting: Type.Optional(Type.String({ maxLength: 256 })),
  durationMs: Type.Optional(Type.Number({ minimum: 0 })),
  statusTimes: Type.Optional(Type.Array(StatusTime)),
  tasks: Type.Optional(Type.Array(MissionTask)),
  tasksOmitted: Type.Optional(Type.Integer({ minimum: 1 })),
  snapshot: Type.Optional(Type.Literal(true))
})
export type MissionUpdate = Static<typeof MissionUpdate>

/**
 * Whether a client may miss this field of a progress update, because the next one repeats it or because it never
 * changes. An update with any other field is reliable.
 */
const IS_REPEATED: Readonly<Record<keyof MissionUpdate, boolean>> = {
  missionId: true,
  status: true,
  name: true,
  seq: true,
  tags: true,
  tagsOmitted: true,
  attempt: true,
  endedAt: true,
  durationMs: true,
  progress: true,
  error: true,
  errorCode: true,
  errorCauses: true,
  waiting: true,
  snapshot: true,
  attempts: true,
  notes: true,
  statusTimes: true,
  tasks: true,
  tasksOmitted: true,
  previousStatus: false,
  // Only in the first update of an attempt, and when they change.
  parentId: false,
  objective: false,
  tenant: false,
  instance: false,
  queuedAt: false,
  startedAt: false,
  note: false,
  cancel: false,
  stalled: false,
  metadata: false,
  planningSession: false,
  tasksSummary: false
}

const NOT_REPEATED = (Object.keys(IS_REPEATED) as Array<keyof MissionUpdate>).filter((name) => !IS_REPEATED[name])

/** Whether a newer update of the same mission may take the place of this one. */
export function isReplaceableUpdate (update: MissionUpdate): boolean {
  for (const name of NOT_REPEATED) if (update[name] !== undefined) return false
  return update.status === 'execution_progress'
}
