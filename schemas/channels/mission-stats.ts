import { Type, type Static } from '@sinclair/typebox'
import { MissionTotals } from '../mission.js'

/**
 * Totals over all missions at one moment. `avgDurationMs` is the mean over all ended missions, `null` if there are
 * none.
 */
export const MissionStats = Type.Composite([Type.Object({ snapshotId: Type.String({ minLength: 1 }) }), MissionTotals])
export type MissionStats = Static<typeof MissionStats>
