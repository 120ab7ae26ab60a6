import { cleanLine, formatDuration } from '../../model/format.js'
import type { Entry } from '../../model/missions/entry.js'
import type { Mission } from '../../model/missions/mission.js'
import type { Session } from '../../model/session.js'
import { Time } from '../time.js'

interface Line { at: number, text: string }

/** The steps that this page has seen, the newest first. */
export function Steps ({ entry, session }: { entry: Entry, session: Session }) {
  return <Lines title='Steps' lines={entry.steps.toReversed()} session={session} />
}

export function Notes ({ mission: { notes }, session }: { mission: Mission, session: Session }) {
  return <Lines title='Notes' lines={notes} session={session} />
}

export function Attempts ({ mission: { attempts }, session }: { mission: Mission, session: Session }) {
  const lines = attempts.map(({ attempt, status, startedAt: at, durationMs, error }) =>
    ({ at, text: `${attempt}: ${status} after ${formatDuration(durationMs)} ${error?.message ?? ''}` }))
  return <Lines title='Earlier attempts' lines={lines} session={session} />
}

function Lines ({ title, lines, session }: { title: string, lines: readonly Line[], session: Session }) {
  if (lines.length === 0) return null
  return (
    <section>
      <h3>{title}</h3>
      <ul class='plain steps'>
        {lines.map(({ at, text }) => (
          <li key={`${at} ${text}`}>
            <span class='number muted'><Time at={at} session={session} /></span> {cleanLine(text)}
          </li>
        ))}
      </ul>
    </section>
  )
}
