import { encode } from './format.js'

/** The view as the address describes it. It contains every choice of the visitor, so that a view can be sent. */
export interface Route {
  readonly tab: Tab
  /** Text that id, name, tag or error contain. */
  readonly q: string
  /** Only missions with this name. */
  readonly name: string
  /** Only missions that started within this time, in minutes; 0 for all. */
  readonly minutes: number
  readonly tenant: string
  readonly sort: SortKey
  readonly isAscending: boolean
  /** The mission that is open beside the table. */
  readonly mission: string | undefined
  readonly panel: 'alerts' | undefined
}

export const TABS = ['all', 'active', 'stalled', 'completed', 'error', 'cancelled'] as const
export type Tab = (typeof TABS)[number]

export const SORT_KEYS = ['started', 'elapsed', 'name', 'status'] as const
export type SortKey = (typeof SORT_KEYS)[number]

export const TIME_RANGES = [0, 15, 60, 360, 1_440] as const

export const HOME: Route = {
  tab: 'all',
  q: '',
  name: '',
  minutes: 0,
  tenant: '',
  sort: 'started',
  isAscending: false,
  mission: undefined,
  panel: undefined
}

const MAX_TEXT = 256

const oneOf = <T extends string>(values: readonly T[], text: string | null): T | undefined =>
  values.find((value) => value === text)

/** Reads the part of an address after `#`. Whatever it does not understand is left out. */
export function parseRoute (hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#/, '').split('?', 2)
  const params = new URLSearchParams(query)
  const text = (name: string) => (params.get(name) ?? '').slice(0, MAX_TEXT)
  const mission = /^\/m\/(.+)$/.exec(path)?.[1]
  const minutes = Number(params.get('minutes'))
  return {
    tab: oneOf(TABS, params.get('status')) ?? HOME.tab,
    q: text('q'),
    name: text('name'),
    minutes: TIME_RANGES.find((range) => range === minutes) ?? 0,
    tenant: text('tenant'),
    sort: oneOf(SORT_KEYS, params.get('sort')) ?? HOME.sort,
    isAscending: params.get('order') === 'asc',
    mission: mission === undefined ? undefined : decode(mission).slice(0, MAX_TEXT),
    panel: path === '/alerts' ? 'alerts' : undefined
  }
}

/** The part of an address after `#`, with it. */
export function formatRoute (route: Route): string {
  const params = new URLSearchParams()
  if (route.tab !== HOME.tab) params.set('status', route.tab)
  if (route.q !== '') params.set('q', route.q)
  if (route.name !== '') params.set('name', route.name)
  if (route.minutes !== 0) params.set('minutes', String(route.minutes))
  if (route.tenant !== '') params.set('tenant', route.tenant)
  if (route.sort !== HOME.sort) params.set('sort', route.sort)
  if (route.isAscending) params.set('order', 'asc')
  const query = params.toString()
  return `#${pathOf(route)}${query === '' ? '' : `?${query}`}`
}

function pathOf ({ mission, panel }: Route): string {
  if (mission !== undefined) return `/m/${encode(mission)}`
  return panel === undefined ? '/' : `/${panel}`
}

// A typed address may end in the middle of an escape.
function decode (text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
