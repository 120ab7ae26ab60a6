import type { PageState } from '../context.js'
import { Drawer } from './drawer.js'
import { HelpDialog } from './help-dialog.js'
import { StartDialog } from './start-dialog.js'
import { StopDialog } from './stop-dialog.js'

/** Everything that opens over the page. */
export function Panels ({ state }: { state: PageState }) {
  return (
    <>
      <Drawer state={state} />
      <StopDialog state={state} />
      <StartDialog state={state} />
      <HelpDialog state={state} />
    </>
  )
}
