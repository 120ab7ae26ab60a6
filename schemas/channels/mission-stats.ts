import { Type, type Static } from '@sinclair/typebox'
import { MissionTotals } from '../mission.js'

/** The registry's totals at one moment; `avgDurationMs` is the mean over all terminal missions, `null` while there is none. */
export const MissionStats = Type.Composite([Type.Object({ snapshotId: Type.String({ minLength: 1 }) }), MissionTotals])
export type MissionStats = Static<typeof MissionStats>
