import type { Signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { ChartsSection } from './charts/section.js'
import type { PageState } from './context.js'
import { PanelsSection } from './detail/section.js'
import { AlertStrip } from './frame/alerts.js'
import { Banners } from './frame/banners.js'
import { Head } from './frame/head.js'
import { Tiles } from './frame/tiles.js'
import { listenToKeys } from './keys.js'
import { MissionsSection } from './missions/section.js'

export function App ({ state }: { state: PageState }) {
  useEffect(() => listenToKeys(state), [])
  const { announcer } = state.session
  return (
    <>
      <a class='skip' href='#missions' onClick={skip}>
        Skip to missions
      </a>
      <Head state={state} />
      <Banners state={state} />
      <AlertStrip state={state} />
      <main class='main'>
        <Tiles state={state} />
        <ChartsSection state={state} />
        <MissionsSection state={state} />
      </main>
      <PanelsSection state={state} />
      <Spoken role='status' text={announcer.polite} />
      <Spoken role='alert' text={announcer.assertive} />
    </>
  )
}

/** A live region: a screen reader says its text when it changes. */
function Spoken ({ role, text }: { role: 'status' | 'alert', text: Signal<string> }) {
  return <p class='visually-hidden' role={role}>{text.value}</p>
}

// The part after `#` belongs to the view.
function skip (event: Event): void {
  event.preventDefault()
  document.getElementById('missions')?.focus()
}
