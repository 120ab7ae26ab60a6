import { cleanLine, formatPercent } from '../../model/format.js'
import type { Entry } from '../../model/missions/entry.js'
import { fractionOf, type Mission } from '../../model/missions/mission.js'

/** The progress of a mission, or its outcome. The only cell that a progress update redraws. */
export function ProgressCell ({ entry }: { entry: Entry }) {
  const mission = entry.mission.value
  if (mission.phase === 'active') return <ActiveProgress entry={entry} mission={mission} />
  const tone = mission.phase === 'error' ? 'bad' : 'muted'
  return <span class={`progress-text tone-${tone}`}>{cleanLine(endingText(mission))}</span>
}

function endingText ({ phase, error, errorCode, cancel }: Mission): string {
  if (phase === 'error') return error ?? errorCode ?? 'failed'
  if (phase === 'completed') return ''
  if (cancel === undefined) return 'cancelled'
  return `${cancel.reason ?? `by ${cancel.kind}`}${cancel.forced === true ? ' (forced)' : ''}`
}

function ActiveProgress ({ entry, mission }: { entry: Entry; mission: Mission }) {
  const progress = entry.progress.value
  const fraction = fractionOf(progress)
  const text = mission.waiting ?? (progress === undefined ? '' : taskText(progress))
  return (
    <span class='progress'>
      {progress !== undefined && (
        <progress
          class='progress-bar'
          max={1}
          {...(fraction !== undefined && { value: fraction })}
          aria-label='Progress'
        />
      )}
      <span class='progress-text'>
        {progress !== undefined && progress.total > 1 && (
          <span class='number'>
            {progress.index}/{progress.total}{' '}
          </span>
        )}
        {progress !== undefined && progress.total <= 1 && fraction !== undefined && (
          <span class='number'>{formatPercent(fraction)} </span>
        )}
        {cleanLine(text)}
      </span>
    </span>
  )
}

const taskText = ({ taskId, status }: { taskId: string; status: string }): string =>
  taskId === 'mission' ? (status === 'running' ? '' : status) : taskId
