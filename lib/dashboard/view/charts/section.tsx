import { useSignal } from '@preact/signals'
import type { FunctionComponent } from 'preact'
import { useEffect } from 'preact/hooks'
import type { PageState } from '../context.js'

/** The charts, which are loaded after the rest of the page has been drawn. */
export function ChartsSection ({ state }: { state: PageState }) {
  const loaded = useSignal<{ Charts: FunctionComponent<{ state: PageState }> } | undefined>(undefined)
  const isLoaded = state.session.isLoaded.value
  useEffect(() => {
    // A browser without idle callbacks waits a moment.
    const whenIdle = globalThis.requestIdleCallback ?? ((run: () => void) => setTimeout(run, 200))
    if (isLoaded) whenIdle(() => { import('./charts.js').then((module) => { loaded.value = module }, () => {}) })
  }, [isLoaded])
  const Charts = loaded.value?.Charts
  return (
    <section class='charts' aria-label='Charts'>
      {Charts === undefined ? <div class='chart-space' /> : <Charts state={state} />}
    </section>
  )
}
