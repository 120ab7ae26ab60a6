import type { PageState } from '../context.js'

const EXAMPLE = `await app.missions.run('import customers', async (mission) => {
  for (const file of files) await mission.task(file, () => importFile(file))
})`

/** Shown in place of rows: still loading, no missions, or no matches. */
export function Empty ({ state }: { state: PageState }) {
  const { session } = state
  if (!session.isLoaded.value) return <Skeleton text={session.connection.value.text} />
  const isUnused = session.missions.version.value >= 0 && session.missions.size === 0
  if (isUnused) {
    return (
      <div class='empty'>
        <h3>No missions yet</h3>
        <p>This page shows each mission as soon as the service starts one:</p>
        <pre tabIndex={0}>{EXAMPLE}</pre>
      </div>
    )
  }
  return (
    <div class='empty'>
      <h3>No missions match</h3>
      <p>
        <button type='button' class='button' onClick={() => state.clearFilters()}>
          Clear filters
        </button>
      </p>
    </div>
  )
}

function Skeleton ({ text }: { text: string }) {
  return (
    <div class='skeleton' aria-busy='true'>
      <p class='visually-hidden'>{text}</p>
      {[0, 1, 2, 3, 4].map((row) => (
        <div key={row} class='skeleton-row' />
      ))}
    </div>
  )
}
