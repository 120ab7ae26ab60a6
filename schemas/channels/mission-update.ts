import { Type, type Static } from '@sinclair/typebox'
import { CancelState, MissionError, MissionId, MissionStatus, Progress } from '../mission.js'

/** One step of one mission. `seq` counts a mission's updates from 1, so that a hole shows. */
export const MissionUpdate = Type.Object({
  missionId: MissionId,
  status: MissionStatus,
  name: Type.String({ minLength: 1 }),
  seq: Type.Integer({ minimum: 1 }),
  tasksSummary: Type.Optional(Type.Unknown()),
  planningSession: Type.Optional(Type.Unknown()),
  progress: Type.Optional(Progress),
  error: Type.Optional(MissionError),
  cancel: Type.Optional(CancelState),
  durationMs: Type.Optional(Type.Number({ minimum: 0 }))
})
export type MissionUpdate = Static<typeof MissionUpdate>
