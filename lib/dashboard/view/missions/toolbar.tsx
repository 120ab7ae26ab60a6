import { useRef } from 'preact/hooks'
import { useComputed } from '@preact/signals'
import { formatCount } from '../../model/format.js'
import { TABS, TIME_RANGES, type Tab } from '../../model/route.js'
import type { PageState } from '../context.js'
import { Icon } from '../icons.js'

const TAB_TEXT: Record<Tab, string> = {
  all: 'All',
  active: 'Active',
  stalled: 'Stalled',
  completed: 'Completed',
  error: 'Errors',
  cancelled: 'Cancelled'
}

const RANGE_TEXT: Record<(typeof TIME_RANGES)[number], string> = {
  0: 'Any time',
  15: 'Last 15 minutes',
  60: 'Last hour',
  360: 'Last 6 hours',
  1440: 'Last 24 hours'
}

const MAX_NAMES = 200

/** The filters of the table. All of them are part of the address. */
export function Toolbar ({ state }: { state: PageState }) {
  const route = state.route.value
  return (
    <div class='toolbar'>
      <div class='tabs' role='group' aria-label='Status'>
        {TABS.map((tab) => (
          <button
            key={tab}
            type='button'
            class='tab'
            aria-pressed={route.tab === tab}
            onClick={() => state.go({ tab })}
          >
            {TAB_TEXT[tab]} <TabCount tab={tab} state={state} />
          </button>
        ))}
      </div>
      <Search state={state} />
      <NameFilter state={state} />
      <label class='field'>
        <span class='visually-hidden'>Started</span>
        <select
          value={String(route.minutes)}
          onChange={({ currentTarget }) => state.go({ minutes: Number(currentTarget.value) })}
        >
          {TIME_RANGES.map((range) => (
            <option key={range} value={String(range)}>
              {RANGE_TEXT[range]}
            </option>
          ))}
        </select>
      </label>
      <TenantFilter state={state} />
    </div>
  )
}

function TabCount ({ tab, state: { session } }: { tab: Tab; state: PageState }) {
  const counts = session.missions.counts.value
  const all = counts.active + counts.completed + counts.cancelled + counts.error
  return <span class='tab-count number'>{formatCount(tab === 'all' ? all : counts[tab])}</span>
}

const SEARCH_MS = 300

function Search ({ state }: { state: PageState }) {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  const onInput = (q: string) => {
    state.go({ q })
    clearTimeout(timer.current)
    // The service may keep missions that the page does not know.
    if (q.trim() !== '') {
      timer.current = setTimeout(() => {
        state.session.archive.search(q.trim()).catch(() => {})
      }, SEARCH_MS)
    }
  }
  return (
    <label class='field search'>
      <Icon name='search' />
      <span class='visually-hidden'>Search by id, name, tag or error</span>
      <input
        type='search'
        id='search'
        placeholder='Id, name, tag or error'
        maxLength={128}
        autocomplete='off'
        spellcheck={false}
        value={state.route.value.q}
        onInput={({ currentTarget }) => onInput(currentTarget.value)}
      />
      <kbd aria-hidden='true'>/</kbd>
    </label>
  )
}

function NameFilter ({ state }: { state: PageState }) {
  const { session } = state
  const chosen = state.route.value.name
  const names = useComputed(() => {
    const found = new Set<string>()
    for (const { mission } of session.missions.version.value < 0 ? [] : session.missions.all()) {
      found.add(mission.peek().name)
    }
    return [...found].sort().slice(0, MAX_NAMES)
  })
  const shown = chosen === '' || names.value.includes(chosen) ? names.value : [chosen, ...names.value]
  return (
    <label class='field'>
      <span class='visually-hidden'>Name</span>
      <select value={chosen} onChange={({ currentTarget }) => state.go({ name: currentTarget.value })}>
        <option value=''>All names</option>
        {shown.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  )
}

/** Shown only to operators who see missions of several tenants. */
function TenantFilter ({ state }: { state: PageState }) {
  const { session } = state
  const chosen = state.route.value.tenant
  const tenants = useComputed(() => {
    const found = new Set<string>()
    if (session.missions.version.value < 0) return []
    for (const { mission } of session.missions.all()) {
      const { tenant } = mission.peek()
      if (tenant !== undefined) found.add(tenant)
    }
    return [...found].sort().slice(0, MAX_NAMES)
  })
  if (tenants.value.length === 0 && chosen === '') return null
  return (
    <label class='field'>
      <span class='visually-hidden'>Tenant</span>
      <select value={chosen} onChange={({ currentTarget }) => state.go({ tenant: currentTarget.value })}>
        <option value=''>All tenants</option>
        {tenants.value.map((tenant) => (
          <option key={tenant} value={tenant}>
            {tenant}
          </option>
        ))}
      </select>
    </label>
  )
}
