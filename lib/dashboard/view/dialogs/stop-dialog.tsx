import { useSignal } from '@preact/signals'
import { stopMissions } from '../../model/commands.js'
import { cleanLine, formatCount, shortenId } from '../../model/format.js'
import type { PageState } from '../context.js'
import { DialogForm } from './dialog-form.js'

const MAX_LISTED = 10

/** Asks before missions are stopped. Each button names its effect; none is labelled "Cancel". */
export function StopDialog ({ state }: { state: PageState }) {
  const ids = state.stopping.value
  return ids.length === 0 ? null : <StopForm key={ids.join()} ids={ids} state={state} />
}

function StopForm ({ ids, state }: { ids: readonly string[], state: PageState }) {
  const { session } = state
  const reason = useSignal('')
  const names = ids.map((id) => cleanLine(`${session.missions.get(id)?.mission.peek().name ?? ''} ${shortenId(id)}`))
  const isSingle = ids.length === 1
  const close = () => { state.stopping.value = [] }
  const stop = async () => {
    const failures = await stopMissions(session.client, ids, reason.peek().trim())
    state.selected.value = new Set()
    if (failures.length === 0) {
      session.announcer.say(isSingle ? `${names[0]} is stopping` : `${ids.length} missions are stopping`)
      close()
      return undefined
    }
    return isSingle ? failures[0] : `${failures.length} of ${ids.length} were not stopped: ${failures[0]}`
  }
  return (
    <DialogForm
      title={isSingle ? `Stop ${names[0]}?` : `Stop ${formatCount(ids.length)} missions?`} dismiss='Keep running'
      action={isSingle ? 'Stop mission' : 'Stop missions'} busy='Stopping…' tone='danger' onClose={close} submit={stop}
    >
      {!isSingle && (
        <ul class='plain dialog-list'>
          {names.slice(0, MAX_LISTED).map((name) => <li key={name}>{name}</li>)}
          {names.length > MAX_LISTED && <li>and {names.length - MAX_LISTED} more</li>}
        </ul>
      )}
      <p>The work is asked to end. If it does not, the mission is forced to end after its grace period.</p>
      <label class='field-block'>
        Reason <span class='muted'>(optional)</span>
        <input
          type='text' maxLength={256} value={reason.value}
          onInput={({ currentTarget }) => { reason.value = currentTarget.value }}
        />
      </label>
    </DialogForm>
  )
}
