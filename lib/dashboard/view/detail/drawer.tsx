import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { cleanLine } from '../../model/format.js'
import type { PageState } from '../context.js'
import { AlertHistory } from '../frame/alerts.js'
import { Icon } from '../icons.js'
import { MissionDetail } from './mission.js'

/** The panel beside the table: one mission, or the alerts. Escape closes it and returns focus to the row. */
export function Drawer ({ state }: { state: PageState }) {
  const { mission, panel } = state.route.value
  const element = useRef<HTMLElement>(null)
  const isOpen = mission !== undefined || panel !== undefined
  useEffect(() => {
    if (isOpen) element.current?.focus()
  }, [mission, panel])
  if (!isOpen) return null
  const close = () => state.closeDrawer()
  return (
    <aside ref={element} class='drawer' tabIndex={-1} aria-label={mission === undefined ? 'Alerts' : 'Mission'}>
      <div class='drawer-head'>
        <h2>{mission === undefined ? 'Alerts' : <MissionTitle id={mission} state={state} />}</h2>
        <button type='button' class='tool' onClick={close}>
          <Icon name='close' />
          <span class='visually-hidden'>Close</span>
        </button>
      </div>
      {mission === undefined
        ? (
          <AlertHistory state={state} />
          )
        : (
          <LoadedMission key={mission} id={mission} state={state} />
          )}
    </aside>
  )
}

function MissionTitle ({ id, state }: { id: string; state: PageState }) {
  const known = state.session.missions.version.value >= 0 ? state.session.missions.get(id) : undefined
  return <>{cleanLine(known?.mission.value.name ?? id)}</>
}

// A link may lead to a mission that the page does not know.
function LoadedMission ({ id, state }: { id: string; state: PageState }) {
  const { session } = state
  const isMissing = useSignal(false)
  const { isLive } = session.connection.value
  useEffect(() => {
    session.archive.load(id).then(
      (isKnown) => {
        isMissing.value = !isKnown
      },
      () => {}
    )
  }, [id, isLive])
  const entry = session.missions.version.value >= 0 ? session.missions.get(id) : undefined
  if (entry !== undefined) return <MissionDetail entry={entry} state={state} />
  if (!isMissing.value) {
    return (
      <p class='muted' aria-busy='true'>
        Loading…
      </p>
    )
  }
  return (
    <p class='muted'>
      The service does not know this mission, or you may not see it. It may have ended too long ago.
    </p>
  )
}
