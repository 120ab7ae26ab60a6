import { useSignal } from '@preact/signals'
import type UPlot from 'uplot'
import { useEffect } from 'preact/hooks'
import type { PageState } from '../context.js'
import { Charts } from './charts.js'

/** The charts, which are loaded after the rest of the page has been drawn. */
export function ChartsSection ({ state }: { state: PageState }) {
  const loaded = useSignal<{ Plot: typeof UPlot } | undefined>(undefined)
  const isLoaded = state.session.isLoaded.value
  useEffect(() => {
    // A browser without idle callbacks waits a moment.
    const whenIdle = globalThis.requestIdleCallback ?? ((run: () => void) => setTimeout(run, 200))
    if (isLoaded) {
      whenIdle(() => {
        import('uplot').then(
          (module) => {
            loaded.value = { Plot: module.default }
            state.hasCharts.value = true
          },
          () => {}
        )
      })
    }
  }, [isLoaded])
  const Plot = loaded.value?.Plot
  return (
    <section class='charts' aria-label='Charts'>
      <h2 class='visually-hidden'>Charts</h2>
      {Plot === undefined ? <div class='chart-space' /> : <Charts state={state} Plot={Plot} />}
    </section>
  )
}
