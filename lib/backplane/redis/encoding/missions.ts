import { MISSION_STATUSES } from '../../../../schemas/mission.js'
import type { StoredMission } from '../../contract.js'

/** The values of a mission. */
type Values = readonly [
  id: string, attempt: number, rank: number, seq: number, owner: string, isRun: number, startedAt: number,
  sequence: number, offset: number, tenantOffset: number, tenant: string, state: string
]

const VALUES = 12

/**
 * Returns the missions of a page as the script `STATES` returns it. `onBroken` is called with the number of those that
 * were broken.
 */
export function decodeMissions (page: readonly unknown[], onBroken: (count: number) => void): StoredMission[] {
  const missions: StoredMission[] = []
  let broken = 0
  for (let at = 0; at < page.length; at += VALUES) {
    const mission = decodeMission(page.slice(at, at + VALUES) as unknown as Values)
    if (mission === undefined) broken++
    else missions.push(mission)
  }
  if (broken > 0) onBroken(broken)
  return missions
}

function decodeMission (
  [id, attempt, rank, seq, owner, isRun, startedAt, sequence, offset, tenantOffset, tenant, state]: Values
): StoredMission | undefined {
  const status = MISSION_STATUSES[rank]
  if (status === undefined || !Number.isSafeInteger(attempt) || attempt < 0) return undefined
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
