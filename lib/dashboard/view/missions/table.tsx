import { useComputed } from '@preact/signals'
import { useEffect, useLayoutEffect } from 'preact/hooks'
import { formatCount } from '../../model/format.js'
import type { SortKey } from '../../model/route.js'
import type { PageState } from '../context.js'
import { mediaSignal } from '../media.js'
import { Icon } from '../icons.js'
import { Empty } from './empty.js'
import { MissionRow } from './row.js'
import { useVisibleRows } from './use-window.js'

const ROW_HEIGHT = 53
const CARD_HEIGHT = 129
const isNarrow = mediaSignal('(max-width: 720px)')

/** The missions. Only the rows near the visible part are drawn. */
export function MissionTable ({ state }: { state: PageState }) {
  const { session } = state
  const { rows, newCount } = state.shown.value
  const height = isNarrow.value ? CARD_HEIGHT : ROW_HEIGHT
  const { body, start, end } = useVisibleRows(rows.length, height)
  const isLive = useComputed(() => session.connection.value.isLive).value
  const canStop = session.service.value?.canCancel === true
  useFollowCursor(state, body, height)
  useEffect(() => watchReading(state, () => body.current), [])
  const columns = canStop ? 7 : 5
  return (
    <div class='table-frame'>
      {newCount > 0 && (
        <button
          type='button'
          class='new-rows'
          onClick={() => {
            state.showNew()
          }}
        >
          {formatCount(newCount)} new: show
        </button>
      )}
      <table
        class={`missions${isLive ? '' : ' outdated'}`}
        role='table'
        aria-rowcount={rows.length + 1}
        aria-describedby='missions-hint'
      >
        <caption class='visually-hidden'>Missions</caption>
        <TableHead state={state} canStop={canStop} />
        <tbody role='rowgroup' ref={body}>
          <Spacer height={start * height} columns={columns} />
          {rows.slice(start, end).map((row, at) => (
            <MissionRow key={row.entry.id} row={row} index={start + at} state={state} canStop={canStop} />
          ))}
          <Spacer height={(rows.length - end) * height} columns={columns} />
        </tbody>
      </table>
      <p id='missions-hint' class='visually-hidden'>
        Move with j and k, open with Enter.
      </p>
      {rows.length === 0 && <Empty state={state} />}
    </div>
  )
}

function TableHead ({ state, canStop }: { state: PageState, canStop: boolean }) {
  const extra = (name: string, text: string) => canStop && (
    <th role='columnheader' scope='col' class={name}><span class='visually-hidden'>{text}</span></th>
  )
  return (
    <thead role='rowgroup'>
      <tr role='row' aria-rowindex={1}>
        {extra('cell-pick', 'Select')}
        <SortHeader state={state} sort='status' label='Status' />
        <SortHeader state={state} sort='name' label='Mission' />
        <th role='columnheader' scope='col' class='cell-progress'>Progress</th>
        <SortHeader state={state} sort='started' label='Started' />
        <SortHeader state={state} sort='elapsed' label='Elapsed' />
        {extra('cell-action', 'Actions')}
      </tr>
    </thead>
  )
}

function Spacer ({ height, columns }: { height: number; columns: number }) {
  if (height <= 0) return null
  return (
    <tr role='presentation' class='spacer' aria-hidden='true'>
      <td colSpan={columns} style={{ height: `${height}px` }} />
    </tr>
  )
}

function SortHeader ({ state, sort, label }: { state: PageState; sort: SortKey; label: string }) {
  const route = state.route.value
  const isSorted = route.sort === sort
  const direction = route.isAscending ? 'ascending' : 'descending'
  const flip = () => state.go({ sort, isAscending: isSorted ? !route.isAscending : sort === 'name' })
  return (
    <th role='columnheader' scope='col' class={`cell-${sort}`} aria-sort={isSorted ? direction : 'none'}>
      <button type='button' class='sort' onClick={flip}>
        {label}
        {isSorted && <Icon name={route.isAscending ? 'up' : 'down'} />}
      </button>
    </th>
  )
}

// Somebody reads while the table is scrolled, pointed at, or focused. The pointer may go to the button for new rows.
function watchReading (state: PageState, body: () => HTMLElement | null): () => void {
  let isOver = false
  const update = () => {
    const element = body()
    const isScrolled = element !== null && element.getBoundingClientRect().top < 0
    state.isReading.value = isScrolled || isOver || element?.contains(document.activeElement) === true
  }
  const onPointer = ({ type, pointerType }: PointerEvent) => {
    isOver = type === 'pointerenter' && pointerType === 'mouse'
    update()
  }
  const element = body()?.closest<HTMLElement>('.table-frame')
  element?.addEventListener('pointerenter', onPointer)
  element?.addEventListener('pointerleave', onPointer)
  addEventListener('scroll', update, { passive: true })
  addEventListener('focusin', update)
  return () => {
    element?.removeEventListener('pointerenter', onPointer)
    element?.removeEventListener('pointerleave', onPointer)
    removeEventListener('scroll', update)
    removeEventListener('focusin', update)
  }
}

// The row of the keyboard may not be drawn yet.
function useFollowCursor (state: PageState, body: { current: HTMLElement | null }, height: number): void {
  const id = state.cursor.value
  useLayoutEffect(() => {
    if (id === undefined || body.current === null) return
    const index = state.shown.peek().rows.findIndex(({ entry }) => entry.id === id)
    if (index < 0) return
    const top = body.current.getBoundingClientRect().top + index * height
    if (top < 80) scrollBy(0, top - 80)
    else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight + 8)
  }, [id])
}
