import type { PageState } from './context.js'

/** The shortcuts of the page. Returns the function that removes them. */
export function listenToKeys (state: PageState): () => void {
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
    if (document.querySelector('dialog[open]') !== null) return
    const isTyping = (event.target as Element).closest('input, textarea, select') !== null
    if (event.key === 'Escape') return leave(state, event)
    const act = isTyping ? undefined : ACTIONS[event.key]
    if (act?.(state) === true) event.preventDefault()
  }
  addEventListener('keydown', onKey)
  return () => removeEventListener('keydown', onKey)
}

/** Each returns whether it has used the key. */
const ACTIONS: Record<string, (state: PageState) => boolean> = {
  '/': () => focusSearch(),
  j: (state) => move(state, 1),
  k: (state) => move(state, -1),
  Enter: (state) => open(state),
  c: (state) => stop(state),
  n: (state) => done(() => state.showNew()),
  p: ({ session }) => done(() => session.setPaused(!session.isPaused.peek())),
  '?': (state) =>
    done(() => {
      state.isHelpOpen.value = true
    })
}

function done (run: () => void): boolean {
  run()
  return true
}

function focusSearch (): boolean {
  document.getElementById('search')?.focus()
  return true
}

function leave (state: PageState, event: KeyboardEvent): void {
  const { mission, panel } = state.route.peek()
  if (mission !== undefined || panel !== undefined) state.closeDrawer()
  else if (event.target instanceof HTMLElement) event.target.blur()
}

function move (state: PageState, by: number): boolean {
  const { rows } = state.shown.peek()
  if (rows.length === 0) return false
  const at = rows.findIndex(({ entry }) => entry.id === state.cursor.peek())
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))]!.entry.id
  state.cursor.value = next
  if (state.route.peek().mission !== undefined) state.go({ mission: next })
  // The row may be drawn only after the page has scrolled to it.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      document.querySelector<HTMLElement>('tr.mission[tabindex="0"]')?.focus({ preventScroll: true })
    })
  )
  return true
}

// On a link or a button, Enter is theirs.
function open (state: PageState): boolean {
  const id = state.cursor.peek()
  const isOnRow = document.activeElement === document.body || document.activeElement?.matches('tr.mission') === true
  if (id === undefined || !isOnRow) return false
  state.go({ mission: id, panel: undefined })
  return true
}

function stop (state: PageState): boolean {
  const id = state.route.peek().mission ?? state.cursor.peek()
  const { session } = state
  const mission = id === undefined ? undefined : session.missions.get(id)?.mission.peek()
  const canStop =
    session.service.peek()?.canCancel === true && mission?.phase === 'active' && mission.cancel === undefined
  if (!canStop) return false
  state.stopping.value = [id!]
  return true
}
