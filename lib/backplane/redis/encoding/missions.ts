import { MISSION_STATUSES } from '../../../../schemas/mission.js'
import type { StoredMission } from '../../contract.js'

type Value = string | number

/** Returns a mission as the script `STATES` returns it, or `undefined` if it is broken. */
export function decodeMission (id: string, values: readonly Value[]): StoredMission | undefined {
  const [attempt, rank, seq, owner, isRun, startedAt, sequence, offset, tenantOffset, tenant, state] = values
  const status = MISSION_STATUSES[Number(rank)]
  const numbers = [attempt, seq, startedAt, sequence, offset, tenantOffset].map(Number)
  if (status === undefined || !numbers.every(isCount) || typeof tenant !== 'string') return undefined
  return {
    id,
    tenant: tenant === '' ? null : tenant,
    attempt: Number(attempt),
    status,
    seq: Number(seq),
    owner: String(owner),
    isRun: Number(isRun) === 1,
    startedAt: Number(startedAt),
    sequence: Number(sequence),
    offset: Number(offset),
    tenantOffset: Number(tenantOffset),
    state: String(state)
  }
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
