import type { MissionStatus } from '../../../schemas/mission.js'
import type { MissionLogStep, PublicationStep } from '../contract.js'

type Details = Partial<Omit<MissionLogStep, 'kind' | 'id' | 'status'>>

/** A reliable step of a mission that nobody runs; its texts name the mission and the status. */
export function stepOf (id: string, status: MissionStatus, details: Details = {}): MissionLogStep {
  return {
    kind: 'mission',
    id,
    tenant: null,
    attempt: 1,
    status,
    isRun: false,
    isStart: false,
    isReliable: true,
    lostWith: undefined,
    durationMs: 0,
    messageId: `${id} ${status}`,
    update: JSON.stringify({ id, status }),
    state: JSON.stringify({ id, status, whole: true }),
    ...details
  }
}

/** The first step of an attempt. */
export const startOf = (id: string, details: Details = {}): MissionLogStep =>
  stepOf(id, 'execution_started', { isStart: true, ...details })

/** The first step of a mission that a function of the process is. */
export const runOf = (id: string, details: Details = {}): MissionLogStep => startOf(id, { isRun: true, ...details })

/** The end of a mission that ran in an instance that is gone. */
export const lossOf = (id: string, lostWith: string, details: Details = {}): MissionLogStep =>
  stepOf(id, 'error', { lostWith, messageId: `${id} lost`, ...details })

/** A reliable message of a channel. */
export function messageOf (
  channel: string, messageId: string, details: Partial<PublicationStep> = {}
): PublicationStep {
  const update = JSON.stringify({ channel, messageId })
  return {
    kind: 'publication', channel, tenant: null, isReliable: true, messageId, update, retain: undefined, ...details
  }
}

/** A value to retain, without a message. */
export const valueOf = (key: string, value: string): PublicationStep =>
  messageOf('health_delta', '', { update: '', isReliable: false, retain: { key, value } })
