import type { Mission } from '../model/missions/mission.js'
import { Icon, type IconName } from './icons.js'

/** The status of a mission as people say it. */
export interface StatusText {
  icon: IconName
  tone: string
  text: string
}

const ACTIVE_TEXT: Record<string, string> = {
  planning_started: 'planning',
  tasks_generated: 'planning',
  planned: 'planned',
  execution_started: 'running',
  execution_progress: 'running'
}

export function statusOf ({ phase, status, isStalled, waiting, cancel }: Mission): StatusText {
  switch (phase) {
    case 'completed':
      return { icon: 'completed', tone: 'good', text: 'completed' }
    case 'error':
      return { icon: 'error', tone: 'bad', text: 'error' }
    case 'cancelled':
      return { icon: 'cancelled', tone: 'muted', text: 'cancelled' }
    case 'active':
      if (cancel !== undefined) return { icon: 'stopping', tone: 'warn', text: 'stopping…' }
      if (isStalled) return { icon: 'stalled', tone: 'warn', text: 'stalled' }
      if (waiting !== undefined) return { icon: 'waiting', tone: 'accent', text: 'waiting' }
      return { icon: 'active', tone: 'accent', text: ACTIVE_TEXT[status] ?? 'running' }
  }
}

export function Status ({ mission }: { mission: Mission }) {
  const { icon, tone, text } = statusOf(mission)
  return (
    <span class={`status tone-${tone}`}>
      <Icon name={icon} /> {text}
    </span>
  )
}
