import { useRef } from 'preact/hooks'
import { useComputed } from '@preact/signals'
import { cleanLine, formatCount } from '../../model/format.js'
import type { Missions } from '../../model/missions/missions.js'
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

const MAX_VALUES = 200

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
      <Choice state={state} field='name' label='Name' all='All names' valuesOf={namesOf} />
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
      <Choice
        state={state} field='tenant' label='Tenant' all='All tenants' valuesOf={(missions) => missions.tenants()}
      />
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

type Values = (missions: Missions) => Iterable<string | undefined>

const namesOf: Values = (missions) => [...missions.all()].map(({ mission }) => mission.peek().name)

/** A filter by one of the values that the missions have. It is left out if there is nothing to choose. */
function Choice ({ state, field, label, all, valuesOf }: {
  state: PageState, field: 'name' | 'tenant', label: string, all: string, valuesOf: Values
}) {
  const { missions } = state.session
  const chosen = state.route.value[field]
  const found = useComputed(() => missions.version.value < 0 ? [] : [...new Set(valuesOf(missions))])
  if (field === 'tenant' && found.value.length < 2 && chosen === '') return null
  const values = new Set(found.value.filter((value) => value !== undefined).sort().slice(0, MAX_VALUES))
  if (chosen !== '') values.add(chosen)
  return (
    <label class='field'>
      <span class='visually-hidden'>{label}</span>
      <select value={chosen} onChange={({ currentTarget }) => state.go({ [field]: currentTarget.value })}>
        <option value=''>{all}</option>
        {[...values].map((value) => <option key={value} value={value}>{cleanLine(value)}</option>)}
      </select>
    </label>
  )
}
