import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { PageState } from '../context.js'

/** What opens over the page. It is loaded after the charts, or as soon as the visitor opens something. */
export function PanelsSection ({ state }: { state: PageState }) {
  const loaded = useSignal<typeof import('./panels.js') | undefined>(undefined)
  const { mission, panel } = state.route.value
  const isOpen = mission !== undefined || panel !== undefined || state.stopping.value.length > 0 ||
    state.isStarting.value || state.isHelpOpen.value
  const isWanted = isOpen || state.hasCharts.value
  useEffect(() => {
    if (isWanted) import('./panels.js').then((module) => { loaded.value = module }, () => {})
  }, [isWanted, isOpen])
  const Panels = loaded.value?.Panels
  return Panels && <Panels state={state} />
}
