import { formatElapsed, formatDuration, formatTime } from '../model/format.js'
import { elapsedMs, type Mission } from '../model/missions/mission.js'
import type { Session } from '../model/session.js'

interface TimeProps {
  at: number
  session: Session
}

/** A time of day; the tooltip has it in UTC too. */
export function Time ({ at, session }: TimeProps) {
  const iso = new Date(at).toISOString()
  return (
    <time dateTime={iso} title={iso}>
      {formatTime(at, session.clock.peek())}
    </time>
  )
}

/** How long a mission runs, which ticks, or how long it took. */
export function Elapsed ({ mission, session }: { mission: Mission; session: Session }) {
  if (mission.phase !== 'active') return <>{formatDuration(elapsedMs(mission, 0))}</>
  return <>{formatElapsed(elapsedMs(mission, session.now.value))}</>
}
