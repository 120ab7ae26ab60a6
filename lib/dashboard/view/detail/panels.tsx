import type { PageState } from '../context.js'
import { HelpDialog } from '../dialogs/help-dialog.js'
import { StartDialog } from '../dialogs/start-dialog.js'
import { StopDialog } from '../dialogs/stop-dialog.js'
import { Drawer } from './drawer.js'

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
