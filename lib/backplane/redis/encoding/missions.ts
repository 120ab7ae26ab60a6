import { MISSION_STATUSES } from '../../../../schemas/mission.js'
import type { StoredMission } from '../../contract.js'

/** The values of a mission. */
type Values = readonly [
  id: string, attempt: number, rank: number, seq: number, owner: string, isRun: number, startedAt: number,
  sequence: number, offset: number, tenantOffset: number, tenant: string, state: string
]

export const VALUES = 12

/** Returns the missions whose values the script `STATES` has returned, without those that are broken. */
export function decodeMissions (values: readonly unknown[]): StoredMission[] {
  const missions: StoredMission[] = []
  for (let at = 0; at < values.length; at += VALUES) {
    const mission = decodeMission(values.slice(at, at + VALUES) as unknown as Values)
    if (mission !== undefined) missions.push(mission)
  }
  return missions
}

function decodeMission (
  [id, attempt, rank, seq, owner, isRun, startedAt, sequence, offset, tenantOffset, tenant, state]: Values
): StoredMission | undefined {
  const status = MISSION_STATUSES[rank]
  if (status === undefined || !Number.isSafeInteger(attempt)) return undefined
  return {
    id,
    tenant: tenant === '' ? null : tenant,
    attempt,
    status,
    seq,
    owner,
    isRun: isRun === 1,
    startedAt,
    sequence,
    offset,
    tenantOffset,
    state
  }
}
