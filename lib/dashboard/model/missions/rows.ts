import type { Entry } from './entry.js'
import { elapsedMs, type Mission } from './mission.js'
import type { Route, SortKey } from '../route.js'

/** A row of the table. `depth` is how far it is indented, because its parent stands above it. */
export interface Row {
  readonly entry: Entry
  readonly depth: number
}

const MAX_DEPTH = 4
const STATUS_ORDER = { error: 0, active: 1, cancelled: 2, completed: 3 } as const

/** The missions that match a route, in its order; children stand below their parents, if those are shown. */
export function selectRows (entries: Iterable<Entry>, route: Route, nowMs: number): Row[] {
  const q = route.q.trim().toLowerCase()
  const since = route.minutes === 0 ? -Infinity : nowMs - route.minutes * 60_000
  const shown: Entry[] = []
  for (const entry of entries) {
    const mission = entry.mission.peek()
    if (matches(mission, route, since) && (q === '' || mentions(mission, q))) shown.push(entry)
  }
  shown.sort(compareBy(route, nowMs))
  return nest(shown)
}

function matches (mission: Mission, { tab, name }: Route, since: number): boolean {
  const { phase, isStalled } = mission
  const isInTab = tab === 'all' || (tab === 'stalled' ? phase === 'active' && isStalled : phase === tab)
  return (
    isInTab &&
    (name === '' || mission.name === name) &&
    mission.startedAt >= since
  )
}

function mentions ({ id, name, tags, error, errorCode }: Mission, q: string): boolean {
  const has = (text: string | undefined) => text?.toLowerCase().includes(q) === true
  return has(id) || has(name) || has(error) || has(errorCode) || tags.some(has)
}

type Compare = (a: Entry, b: Entry) => number

const COMPARE: Record<SortKey, (a: Mission, b: Mission, nowMs: number) => number> = {
  started: (a, b) => a.startedAt - b.startedAt,
  elapsed: (a, b, nowMs) => elapsedMs(a, nowMs) - elapsedMs(b, nowMs),
  name: (a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)),
  status: (a, b) => STATUS_ORDER[a.phase] - STATUS_ORDER[b.phase]
}

// Equal missions keep the order of their start, so that the table never jumps.
function compareBy ({ sort, isAscending }: Route, nowMs: number): Compare {
  const compare = COMPARE[sort]
  const direction = isAscending ? 1 : -1
  return (one, other) => {
    const [a, b] = [one.mission.peek(), other.mission.peek()]
    return direction * compare(a, b, nowMs) || b.startedAt - a.startedAt || (a.id < b.id ? -1 : 1)
  }
}

function nest (entries: readonly Entry[]): Row[] {
  const byId = new Set(entries.map(({ id }) => id))
  const children = new Map<string, Entry[]>()
  const roots: Entry[] = []
  for (const entry of entries) {
    const { parentId } = entry.mission.peek()
    if (parentId === undefined || parentId === entry.id || !byId.has(parentId)) roots.push(entry)
    else children.set(parentId, [...(children.get(parentId) ?? []), entry])
  }
  const rows: Row[] = []
  const add = (entry: Entry, depth: number) => {
    rows.push({ entry, depth: Math.min(depth, MAX_DEPTH) })
    const below = children.get(entry.id)
    children.delete(entry.id)
    for (const child of below ?? []) add(child, depth + 1)
  }
  for (const entry of roots) add(entry, 0)
  // Parents that name each other as parents.
  for (const entries of [...children.values()]) for (const entry of entries) rows.push({ entry, depth: 0 })
  return rows
}
