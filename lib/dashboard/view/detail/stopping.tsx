import type { Entry } from '../../model/missions/entry.js'
import type { Session } from '../../model/session.js'
import { cleanLine } from '../../model/format.js'

/**
 * The pending cancel request of an active mission, with the remaining grace period. It is no live region: a screen
 * reader would repeat it each second.
 */
export function Stopping ({ entry, session }: { entry: Entry; session: Session }) {
  const { cancel, phase } = entry.mission.value
  if (cancel === undefined || phase !== 'active') return null
  const graceMs = session.service.value?.cancelGraceMs
  const since = entry.stopSeenAt
  const isCounted = graceMs !== undefined && since !== undefined
  const leftMs = isCounted ? Math.min(graceMs, since + graceMs - session.now.value) : undefined
  return (
    <p class='stopping'>
      Stopping{cancel.by === null ? '' : ` for ${cleanLine(cancel.by)}`}
      {cancel.reason === null ? '' : `: ${cleanLine(cancel.reason)}`}.
      {leftMs !== undefined && leftMs > 0 && (
        <>
          {' '}
          The work has <span class='number'>{Math.ceil(leftMs / 1_000)} s</span> to end by itself.
        </>
      )}
      {leftMs !== undefined && leftMs <= 0 && <> The grace period is over; the mission is being forced to end.</>}
    </p>
  )
}
