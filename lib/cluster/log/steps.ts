import { isReplaceableUpdate, type MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { MissionCopy } from '../../../schemas/cluster/mission-copy.js'
import { isTerminal } from '../../../schemas/mission.js'
import type { MissionLogStep, PublicationStep } from '../../backplane/contract.js'
import { createUnifiedId } from '../../base/clock.js'
import { SharedMission, toMissionCopy, toUpdate, type MissionState } from '../../missions/index.js'

/** Something to append to the log. */
export interface PendingStep {
  /** `undefined` for a publication. */
  readonly mission: MissionState | undefined
  /** The mission ends with it. */
  readonly isEnding: boolean
  readonly isReliable: boolean
  /** Whether it is the first step of its attempt. */
  readonly isStart: boolean
  /** Its approximate size. */
  readonly bytes: number
  readonly update: MissionUpdate | undefined
  /** Creates the step when it is sent. `needsState`: no later step of the same mission follows in the batch. */
  build (needsState: boolean): MissionLogStep | PublicationStep
}

const ENVELOPE_BYTES = 200
/** Rough, because most updates are never kept for long. */
const UPDATE_BYTES = 400

/** A step of a mission of this process. Without an update, clients are not told. */
export function createMissionStep (mission: MissionState, update: MissionUpdate | undefined): PendingStep {
  const { id, tenant, attempt } = mission
  const status = update?.status ?? mission.status
  const isEnding = isTerminal(status)
  const isReliable = update !== undefined && !isReplaceableUpdate(update)
  const messageId = createUnifiedId('message')
  const isStart = update !== undefined && update.seq === mission.firstSeq
  return {
    mission,
    isEnding,
    isReliable,
    isStart,
    bytes: ENVELOPE_BYTES + UPDATE_BYTES + sizeOf(update),
    update,
    build: (needsState) => ({
      kind: 'mission',
      id,
      tenant,
      attempt,
      status,
      isRun: mission.isRun,
      isStart,
      isReliable,
      lostWith: undefined,
      durationMs: isEnding ? Number(mission.durationMs) : 0,
      messageId,
      update: update === undefined ? '' : JSON.stringify(update),
      state: needsState ? JSON.stringify(toMissionCopy(mission, isEnding)) : ''
    })
  }
}

/** The whole state of a mission as a change, because others may not know all of it. */
export function createRestatement (mission: MissionState): PendingStep {
  const { snapshot, attempts, notes, ...update } = toUpdate(mission)
  return createMissionStep(mission, update)
}

/** Ends a mission that was lost with the process that ran it. */
export function createLoss (mission: SharedMission, now: number): PendingStep {
  const lost = lose(mission, now)
  return endShared(lost, toUpdate(lost, { previousStatus: mission.status }), mission.owner)
}

/** The ending of a mission of another process, as this one has read it before the log has lost it. */
export function createKnownEnding (mission: SharedMission): PendingStep {
  const { snapshot, attempts, notes, ...update } = toUpdate(mission)
  return endShared(mission, update, undefined)
}

function endShared (mission: SharedMission, update: MissionUpdate, lostWith: string | undefined): PendingStep {
  const { id, tenant, attempt, status, isRun } = mission
  return {
    mission: undefined,
    isEnding: true,
    isReliable: true,
    isStart: false,
    bytes: ENVELOPE_BYTES + UPDATE_BYTES,
    update,
    build: () => ({
      kind: 'mission',
      id,
      tenant,
      attempt,
      status,
      isRun,
      isStart: false,
      isReliable: true,
      lostWith,
      durationMs: Number(mission.durationMs),
      messageId: createUnifiedId('message'),
      update: JSON.stringify(update),
      state: JSON.stringify(mission.copy)
    })
  }
}

const PROCESS_LOST = { code: 'process_lost', message: 'The process that ran the mission has died' }

function lose (mission: SharedMission, now: number): SharedMission {
  const endedAt = Math.max(now, mission.startedAt)
  const copy: MissionCopy = { ...mission.copy, error: PROCESS_LOST, endedAt, durationMs: endedAt - mission.startedAt }
  copy.statusBeforeEnd = mission.status
  copy.updatedAt = endedAt
  delete copy.waiting
  delete copy.stalled
  return new SharedMission({ ...headerOf(mission), status: 'error', state: JSON.stringify(copy) }, mission.showsParent)
}

const headerOf = (mission: SharedMission) => ({
  id: mission.id,
  tenant: mission.tenant,
  attempt: mission.attempt,
  seq: mission.seq,
  owner: mission.owner,
  isRun: mission.isRun,
  startedAt: mission.number,
  sequence: mission.sequence,
  offset: mission.offset,
  tenantOffset: mission.tenantOffset
})

export interface PublicationOptions {
  channel: string
  tenant: string | undefined
  isReliable: boolean
  /** `undefined`: nothing but the retained value; without one, it marks that messages are missing. */
  payload: unknown
  retain?: PublicationStep['retain']
}

/** A message that is not about a mission of the registry. */
export function createPublication ({ channel, tenant, isReliable, payload, retain }: PublicationOptions): PendingStep {
  const update = payload === undefined ? '' : JSON.stringify(payload)
  return {
    mission: undefined,
    isEnding: false,
    isReliable,
    isStart: false,
    bytes: ENVELOPE_BYTES + update.length + (retain?.value.length ?? 0),
    update: undefined,
    build: () => ({
      kind: 'publication',
      channel,
      tenant: tenant ?? null,
      isReliable,
      messageId: createUnifiedId('message'),
      update,
      retain
    })
  }
}

// The parts that can be large are JSON of the host; measuring all of it would cost as much as encoding it.
function sizeOf (update: MissionUpdate | undefined): number {
  if (update === undefined) return 0
  const { planningSession, tasksSummary, metadata, note } = update
  return [planningSession, tasksSummary, metadata, note].reduce<number>((sum, part) =>
    sum + (part === undefined ? 0 : JSON.stringify(part).length), 0)
}
