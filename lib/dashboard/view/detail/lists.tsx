import { cleanLine, formatDuration } from '../../model/format.js'
import type { Entry } from '../../model/missions/entry.js'
import type { Mission } from '../../model/missions/mission.js'
import type { Session } from '../../model/session.js'
import { Time } from '../time.js'

/** The steps that this page has seen, the newest first. */
export function Steps ({ entry, session }: { entry: Entry; session: Session }) {
  const { startedAt, endedAt, status } = entry.mission.value
  const seen = entry.steps
  const steps =
    seen.length > 0
      ? seen
      : [
          { at: startedAt, text: 'started' },
          ...(endedAt === undefined ? [] : [{ at: endedAt, text: status.replaceAll('_', ' ') }])
        ]
  return (
    <section>
      <h3>Steps</h3>
      <ol class='plain steps' reversed>
        {steps.toReversed().map(({ at, text }) => (
          <li key={`${at} ${text}`}>
            <span class='number muted'>
              <Time at={at} session={session} />
            </span>{' '}
            {cleanLine(text)}
          </li>
        ))}
      </ol>
    </section>
  )
}

export function Attempts ({ mission, session }: { mission: Mission; session: Session }) {
  if (mission.attempts.length === 0) return null
  return (
    <section>
      <h3>Earlier attempts</h3>
      <ol class='plain steps'>
        {mission.attempts.map(({ attempt, status, startedAt, durationMs, error }) => (
          <li key={attempt}>
            <span class='number muted'>
              {attempt} · <Time at={startedAt} session={session} />
            </span>{' '}
            {status} after <span class='number'>{formatDuration(durationMs)}</span>
            {error !== null && <span class='muted'>: {cleanLine(error.message)}</span>}
          </li>
        ))}
      </ol>
    </section>
  )
}

export function Notes ({ mission, session }: { mission: Mission; session: Session }) {
  if (mission.notes.length === 0) return null
  return (
    <section>
      <h3>Notes</h3>
      <ul class='plain steps'>
        {mission.notes.map(({ at, text }) => (
          <li key={`${at} ${text}`}>
            <span class='number muted'>
              <Time at={at} session={session} />
            </span>{' '}
            {cleanLine(text)}
          </li>
        ))}
      </ul>
    </section>
  )
}
