import { useSignal } from '@preact/signals'
import { formatCount } from '../../model/format.js'
import type { PageState } from '../context.js'
import { MissionTable } from './table.js'
import { Toolbar } from './toolbar.js'

/** The toolbar, the table, and the footer. */
export function MissionsSection ({ state }: { state: PageState }) {
  const { session, selected } = state
  const count = selected.value.size
  const canStart = session.service.value?.canStart === true
  return (
    <section id='missions' class='missions-section' aria-label='Missions' tabIndex={-1}>
      <div class='section-head'>
        <h2>Missions</h2>
        {canStart && (
          <button
            type='button'
            class='button button-primary'
            onClick={() => {
              state.isStarting.value = true
            }}
          >
            Start mission…
          </button>
        )}
        {count > 0 && (
          <button
            type='button'
            class='button button-danger'
            onClick={() => {
              state.stopping.value = [...selected.peek()]
            }}
          >
            Stop {formatCount(count)} selected…
          </button>
        )}
      </div>
      <Toolbar state={state} />
      <MissionTable state={state} />
      <Older state={state} />
    </section>
  )
}

function Older ({ state: { session } }: { state: PageState }) {
  const isLoading = useSignal(false)
  const cursor = session.archive.cursor.value
  if (cursor === null || cursor === undefined) return null
  const load = async () => {
    isLoading.value = true
    try {
      await session.archive.loadOlder()
    } catch {
      session.announcer.say('Older missions could not be loaded')
    } finally {
      isLoading.value = false
    }
  }
  return (
    <p class='older'>
      <button
        type='button'
        class='button'
        disabled={isLoading.value}
        onClick={() => {
          load()
        }}
      >
        {isLoading.value ? 'Loading…' : 'Load older'}
      </button>
    </p>
  )
}
