import { cleanLine, formatDuration } from '../../model/format.js'
import type { Entry, TaskSpan } from '../../model/missions/entry.js'
import type { Session } from '../../model/session.js'

const MAX_SHOWN = 200

/** The tasks of a mission as bars in time, as far as this page has seen them. */
export function TaskTimeline ({ entry, session }: { entry: Entry; session: Session }) {
  const { startedAt, endedAt, phase } = entry.mission.value
  // Read, so that new progress draws the bars again.
  const progress = entry.progress.value
  const tasks = [...entry.tasks.values()].filter(({ taskId }) => taskId !== 'mission').slice(0, MAX_SHOWN)
  if (tasks.length === 0 && progress === undefined) return null
  const nowMs = phase === 'active' ? session.now.value : (endedAt ?? session.now.peek())
  const from = Math.min(startedAt, ...tasks.map((task) => task.from))
  const span = Math.max(1, nowMs - from)
  if (tasks.length === 0) return null
  return (
    <section>
      <h3>Tasks</h3>
      <ol class='plain timeline'>
        {tasks.map((task) => (
          <TaskBar key={task.taskId} task={task} from={from} span={span} nowMs={nowMs} />
        ))}
      </ol>
    </section>
  )
}

function TaskBar ({ task, from, span, nowMs }: { task: TaskSpan; from: number; span: number; nowMs: number }) {
  const end = task.to ?? nowMs
  const isFailed = /^(fail|error|timed_out)/.test(task.status)
  const style = {
    left: `${((task.from - from) / span) * 100}%`,
    width: `${Math.max(0.5, ((end - task.from) / span) * 100)}%`
  }
  return (
    <li class='task'>
      <span class='task-name' title={cleanLine(task.taskId)}>
        {cleanLine(task.taskId)}
      </span>
      <span class='task-track' aria-hidden='true'>
        <span
          class={`task-bar${task.to === undefined ? ' task-open' : ''}${isFailed ? ' task-failed' : ''}`}
          style={style}
        />
      </span>
      <span class='task-time number'>
        {formatDuration(end - task.from)}
        <span class='visually-hidden'> {task.status}</span>
      </span>
    </li>
  )
}
