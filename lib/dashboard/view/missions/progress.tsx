import { cleanLine, formatPercent } from '../../model/format.js'
import type { Entry } from '../../model/missions/entry.js'
import { fractionOf, type Mission } from '../../model/missions/mission.js'

/** How far a mission is, or what it ended with. The only cell that a frame of progress draws again. */
export function ProgressCell ({ entry }: { entry: Entry }) {
  const mission = entry.mission.value
  const ending = endingText(mission)
  if (ending !== undefined) return <span class={`progress-text tone-${mission.phase === 'error' ? 'bad' : 'muted'}`}>{ending}</span>
  return <ActiveProgress entry={entry} mission={mission} />
}

function endingText ({ phase, error, errorCode, cancel }: Mission): string | undefined {
  if (phase === 'error') return cleanLine(error ?? errorCode ?? 'failed')
  if (phase === 'cancelled') return cleanLine(cancel?.reason ?? (cancel === undefined ? 'cancelled' : `by ${cancel.kind}`))
  return phase === 'completed' ? '' : undefined
}

function ActiveProgress ({ entry, mission }: { entry: Entry, mission: Mission }) {
  const progress = entry.progress.value
  const fraction = fractionOf(progress)
  const text = mission.waiting ?? (progress === undefined ? '' : taskText(progress))
  return (
    <span class='progress'>
      {progress !== undefined && (
        <progress class='progress-bar' max={1} {...fraction !== undefined && { value: fraction }} aria-label='Progress' />
      )}
      <span class='progress-text'>
        {progress !== undefined && progress.total > 1 && <span class='number'>{progress.index}/{progress.total} </span>}
        {progress !== undefined && progress.total <= 1 && fraction !== undefined && <span class='number'>{formatPercent(fraction)} </span>}
        {cleanLine(text)}
      </span>
    </span>
  )
}

const taskText = ({ taskId, status }: { taskId: string, status: string }): string =>
  taskId === 'mission' ? (status === 'running' ? '' : status) : taskId
