import { useSignal } from '@preact/signals'
import { cleanLine, formatCount, shortenId } from '../../model/format.js'
import type { PageState } from '../context.js'
import { Dialog } from './dialog.js'

const MAX_LISTED = 10

/** Asks before missions are stopped. Its buttons say what happens; none of them is called "Cancel". */
export function StopDialog ({ state }: { state: PageState }) {
  const ids = state.stopping.value
  if (ids.length === 0) return null
  return <StopForm key={ids.join()} ids={ids} state={state} />
}

function StopForm ({ ids, state }: { ids: readonly string[], state: PageState }) {
  const { session } = state
  const reason = useSignal('')
  const problem = useSignal('')
  const isBusy = useSignal(false)
  const names = ids.map((id) => `${session.missions.get(id)?.mission.peek().name ?? ''} ${shortenId(id)}`)
  const close = () => { state.stopping.value = [] }
  const stop = async (event: Event) => {
    event.preventDefault()
    isBusy.value = true
    const failures = await session.stop(ids, reason.peek().trim())
    isBusy.value = false
    state.selected.value = new Set()
    if (failures.length === 0) return close()
    problem.value = failures.length === ids.length && ids.length === 1
      ? `It was not stopped: ${failures[0]}`
      : `${failures.length} of ${ids.length} were not stopped: ${failures[0]}`
  }
  const single = ids.length === 1
  return (
    <Dialog title={single ? `Stop ${cleanLine(names[0]!)}?` : `Stop ${formatCount(ids.length)} missions?`} onClose={close}>
      <form onSubmit={(event) => { stop(event) }}>
        {!single && (
          <ul class='plain dialog-list'>
            {names.slice(0, MAX_LISTED).map((name) => <li key={name}>{cleanLine(name)}</li>)}
            {names.length > MAX_LISTED && <li>and {names.length - MAX_LISTED} more</li>}
          </ul>
        )}
        <p>The work is asked to end. If it does not, the mission is forced to end after its grace period.</p>
        <label class='field-block'>
          Reason <span class='muted'>(optional)</span>
          <input type='text' maxLength={256} value={reason.value} onInput={({ currentTarget }) => { reason.value = currentTarget.value }} />
        </label>
        {problem.value !== '' && <p class='problem-text' role='alert'>{problem.value}</p>}
        <div class='dialog-buttons'>
          <button type='button' class='button' onClick={close}>Keep running</button>
          <button type='submit' class='button button-danger' disabled={isBusy.value}>
            {isBusy.value ? 'Stopping…' : single ? 'Stop mission' : 'Stop missions'}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
