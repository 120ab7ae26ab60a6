import type { PageState } from '../context.js'
import { Dialog } from './dialog.js'

const KEYS = [
  ['/', 'Search'],
  ['j, k', 'Next and previous mission'],
  ['Enter', 'Open the mission'],
  ['Escape', 'Close'],
  ['c', 'Stop the mission'],
  ['p', 'Pause or resume'],
  ['n', 'Show new missions'],
  ['?', 'This list']
] as const

export function HelpDialog ({ state }: { state: PageState }) {
  if (!state.isHelpOpen.value) return null
  const close = () => {
    state.isHelpOpen.value = false
  }
  return (
    <Dialog title='Keyboard shortcuts' onClose={close}>
      <dl class='facts'>
        {KEYS.map(([key, text]) => (
          <div key={key} class='fact'>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <div class='dialog-buttons'>
        <button type='button' class='button' onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  )
}
