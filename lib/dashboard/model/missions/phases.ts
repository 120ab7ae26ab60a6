import type { StatusTime } from '../../../../schemas/mission.js'
import type { Mission } from './mission.js'

export interface PhaseSpan {
  readonly name: 'queued' | 'planning' | 'execution' | 'running'
  readonly ms: number
}

/**
 * The phases of a mission in order, without empty ones. Missions start as `planning_started`; only one that reports the
 * end of its planning counts as planned.
 */
export function phasesOf (mission: Mission, times: readonly StatusTime[], nowMs: number): PhaseSpan[] {
  const { queuedAt, startedAt, endedAt } = mission
  const end = Math.max(startedAt, endedAt ?? nowMs)
  const isPlanned = times.some(({ status }) => /^(tasks|planned|execution_started)/.test(status))
  const first = times.find(({ status }) => status.startsWith('execution'))
  const executedAt = isPlanned ? Math.max(startedAt, Math.min(end, first?.at ?? end)) : startedAt
  const spans: PhaseSpan[] = [
    { name: 'queued', ms: startedAt - (queuedAt ?? startedAt) },
    { name: 'planning', ms: executedAt - startedAt },
    { name: isPlanned ? 'execution' : 'running', ms: end - executedAt }
  ]
  return spans.filter(({ ms }) => ms > 0)
}
