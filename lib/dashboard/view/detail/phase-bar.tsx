import { formatDuration } from '../../model/format.js'
import type { Entry } from '../../model/missions/entry.js'
import { phasesOf } from '../../model/missions/phases.js'
import type { Session } from '../../model/session.js'

/** How long a mission was queued, planned and executed, as a bar to scale. */
export function PhaseBar ({ entry, session }: { entry: Entry, session: Session }) {
  const mission = entry.mission.value
  const nowMs = mission.phase === 'active' ? session.now.value : mission.startedAt
  const phases = phasesOf(mission, entry.statusTimes, nowMs)
  return (
    <div class='phases number'>
      <div class='phase-bar' aria-hidden='true'>
        {phases.map(({ name, ms }) => <span key={name} class={`phase-${name}`} style={{ flexGrow: ms }} />)}
      </div>
      {phases.map(({ name, ms }) => <span key={name} class='muted'>{name} {formatDuration(ms)}</span>)}
    </div>
  )
}
