import { Type, type Static } from '@sinclair/typebox'
import { CancelState, MissionError, MissionId, MissionStatus, Progress } from '../mission.js'

/**
 * One step of one mission. `seq` counts a mission's updates from 1. `objective` and `parentId` come with the first update,
 * `cancel` with the one that tells of the request and with the ending, `stalled` and `waiting` for as long as they are so.
 * One with `snapshot: true` is no step: it tells where the mission is, and `seq` is that of its last step, 0 if nobody was told of any.
 * `previousStatus` is there when the status changed. `tags` and `startedAt` come with the first update and with snapshots, `endedAt` with the
 * ending; both are in ms since 1970.
 */
export const MissionUpdate = Type.Object({
  missionId: MissionId,
  status: MissionStatus,
  name: Type.String({ minLength: 1 }),
  seq: Type.Integer({ minimum: 0 }),
  tasksSummary: Type.Optional(Type.Unknown()),
  planningSession: Type.Optional(Type.Unknown()),
  progress: Type.Optional(Progress),
  error: Type.Optional(MissionError),
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
