import { Type, type Static } from '@sinclair/typebox'
import { CancelState, MissionError, MissionId, MissionStatus, Progress } from '../mission.js'

/**
 * One update of one mission. `seq` counts the updates of a mission from 1.
 *
 * - `previousStatus` is present when the status changed.
 * - `objective`, `parentId` and `startedAt` are sent with the first update and with snapshots.
 * - `cancel` is sent with the update of the request and with the ending, `endedAt` with the ending.
 * - `error` is the message of an error and `errorCode` its code.
 * - `stalled` and `waiting` are sent for as long as they hold.
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
  cancel: Type.Optional(CancelState),
  metadata: Type.Optional(Type.Unknown()),
  parentId: Type.Optional(MissionId),
  objective: Type.Optional(Type.String()),
  tags: Type.Optional(Type.Array(Type.String())),
  previousStatus: Type.Optional(MissionStatus),
  startedAt: Type.Optional(Type.Integer()),
  endedAt: Type.Optional(Type.Integer()),
  stalled: Type.Optional(Type.Literal(true)),
  waiting: Type.Optional(Type.String({ maxLength: 256 })),
  durationMs: Type.Optional(Type.Number({ minimum: 0 })),
  snapshot: Type.Optional(Type.Literal(true))
})
export type MissionUpdate = Static<typeof MissionUpdate>
