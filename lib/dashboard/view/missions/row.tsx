import { useComputed } from '@preact/signals'
import { useLayoutEffect, useRef } from 'preact/hooks'
import { cleanLine, encode, shortenId } from '../../model/format.js'
import type { Entry } from '../../model/missions/entry.js'
import type { Mission } from '../../model/missions/mission.js'
import type { Row } from '../../model/missions/rows.js'
import type { PageState } from '../context.js'
import { Icon } from '../icons.js'
import { Status } from '../status.js'
import { Elapsed, Time } from '../time.js'
import { ProgressCell } from './progress.js'

interface MissionRowProps {
  row: Row
  index: number
  state: PageState
  canStop: boolean
}

const MAX_TAGS = 3

/** One mission of the table. Its progress is drawn on its own. */
export function MissionRow ({ row: { entry, depth }, index, state, canStop }: MissionRowProps) {
  const mission = entry.mission.value
  const { id } = entry
  const element = useRef<HTMLTableRowElement>(null)
  const isCurrent = useComputed(() => state.cursor.value === id).value
  const isOpen = useComputed(() => state.route.value.mission === id).value
  useLayoutEffect(() => {
    if (isCurrent && element.current?.parentElement?.contains(document.activeElement)) element.current.focus()
  }, [isCurrent])
  return (
    <tr
      ref={element}
      class={`mission${isOpen ? ' mission-open' : ''}`}
      role='row'
      aria-rowindex={index + 2}
      tabIndex={isCurrent ? 0 : -1}
      onFocus={() => {
        state.cursor.value = id
      }}
      onClick={(event) => openFrom(event, state, id)}
    >
      {canStop && (
        <td role='cell' class='cell-pick'>
          <Pick entry={entry} state={state} />
        </td>
      )}
      <td role='cell' class='cell-status'>
        <Status mission={mission} />
      </td>
      <td role='cell' class='cell-name' data-depth={depth}><Name mission={mission} /></td>
      <td role='cell' class='cell-progress'>
        <ProgressCell entry={entry} />
      </td>
      <td role='cell' class='cell-started number'>
        <Time at={mission.startedAt} session={state.session} />
      </td>
      <td role='cell' class='cell-elapsed number'>
        <Elapsed mission={mission} session={state.session} />
      </td>
      {canStop && <td role='cell' class='cell-action'><StopButton mission={mission} state={state} /></td>}
    </tr>
  )
}

function Name ({ mission: { id, name, attempt, instance, tags } }: { mission: Mission }) {
  return (
    <>
      <a class='mission-name' href={`#/m/${encode(id)}`} tabIndex={-1}>{cleanLine(name)}</a>
      {attempt > 1 && <span class='chip'>attempt {attempt}</span>}
      <span class='mission-id'>
        <span title={cleanLine(id)}>{shortenId(cleanLine(id))}</span>
        <Copy text={id} what='id' />
        {instance !== undefined && <span title='Process'>{cleanLine(instance)}</span>}
        {tags.slice(0, MAX_TAGS).map((tag) => <span key={tag} class='tag'>{cleanLine(tag)}</span>)}
      </span>
    </>
  )
}

function StopButton ({ mission: { id, name, phase, cancel }, state }: { mission: Mission, state: PageState }) {
  if (phase !== 'active' || cancel !== undefined) return null
  return (
    <button type='button' class='button button-small' tabIndex={-1} onClick={() => { state.stopping.value = [id] }}>
      Stop…<span class='visually-hidden'> {cleanLine(name)}</span>
    </button>
  )
}

// A click on a control of the row is not one on the row.
function openFrom (event: MouseEvent, state: PageState, id: string): void {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return
  const target = event.target as Element
  if (target.closest('button, input, label') !== null) return
  event.preventDefault()
  if (getSelection()?.toString()) return
  state.cursor.value = id
  state.go({ mission: id, panel: undefined })
}

function Pick ({ entry, state }: { entry: Entry; state: PageState }) {
  const { id, name, phase } = entry.mission.value
  const isPicked = useComputed(() => state.selected.value.has(id)).value
  if (phase !== 'active') return null
  const toggle = () => {
    const selected = new Set(state.selected.peek())
    if (!selected.delete(id)) selected.add(id)
    state.selected.value = selected
  }
  return (
    <label class='pick'>
      <input type='checkbox' checked={isPicked} onChange={toggle} tabIndex={-1} />
      <span class='visually-hidden'>Select {cleanLine(name)}</span>
    </label>
  )
}

export function Copy ({ text, what }: { text: string; what: string }) {
  const button = useRef<HTMLButtonElement>(null)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      button.current?.classList.add('copied')
      setTimeout(() => button.current?.classList.remove('copied'), 1_500)
    } catch {
      // Without permission there is nothing to say: the text can be selected.
    }
  }
  return (
    <button
      ref={button}
      type='button'
      class='copy'
      tabIndex={-1}
      onClick={() => {
        copy()
      }}
    >
      <Icon name='copy' />
      <span class='visually-hidden'>Copy {what}</span>
    </button>
  )
}
