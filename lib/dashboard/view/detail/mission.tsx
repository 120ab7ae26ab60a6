import type { ComponentChildren } from 'preact'
import { cleanLine, encode, fillTemplate, formatCount, formatDuration, formatTime } from '../../model/format.js'
import type { Entry } from '../../model/missions/entry.js'
import type { Mission } from '../../model/missions/mission.js'
import { countRepeats } from '../../model/missions/repeats.js'
import type { PageState } from '../context.js'
import { Icon } from '../icons.js'
import { Copy } from '../missions/row.js'
import { ProgressCell } from '../missions/progress.js'
import { Status } from '../status.js'
import { Elapsed, Time } from '../time.js'
import { LargeValue } from './large-value.js'
import { Attempts, Notes, Steps } from './lists.js'
import { PhaseBar } from './phase-bar.js'
import { Stopping } from './stopping.js'
import { TaskTimeline } from './timeline.js'

/** Everything about one mission. */
export function MissionDetail ({ entry, state }: { entry: Entry; state: PageState }) {
  const mission = entry.mission.value
  const { session, config } = state
  const canStop =
    session.service.value?.canCancel === true && mission.phase === 'active' && mission.cancel === undefined
  const link = config.missionLink
  return (
    <div class='detail'>
      <p class='detail-status'>
        <Status mission={mission} />
        <span class='number'>
          <Elapsed mission={mission} session={session} />
        </span>
        {mission.attempt > 1 && <span class='chip'>attempt {mission.attempt}</span>}
        <span class='detail-tools'>
          {link !== null && (
            <a class='button button-small' href={fillTemplate(link, mission)} rel='noreferrer'>
              <Icon name='link' /> Trace
            </a>
          )}
          <span class='button button-small'>
            JSON <Copy text={JSON.stringify(mission, null, 2)} what='mission as JSON' />
          </span>
          {canStop && (
            <button
              type='button'
              class='button button-small button-danger'
              onClick={() => {
                state.stopping.value = [mission.id]
              }}
            >
              Stop…
            </button>
          )}
        </span>
      </p>
      <PhaseBar entry={entry} session={session} />
      {mission.phase === 'active' && (
        <p class='detail-progress'>
          <ProgressCell entry={entry} />
        </p>
      )}
      <Stopping entry={entry} session={session} />
      <MissionProblem mission={mission} state={state} />
      <Facts mission={mission} state={state} />
      <TaskTimeline entry={entry} session={session} />
      <Attempts mission={mission} session={session} />
      <Steps entry={entry} session={session} />
      <Notes mission={mission} session={session} />
      <LargeValue title='Plan' value={mission.plan} fileName={`${mission.id}-plan.json`} />
      <LargeValue title='Metadata' value={mission.metadata} fileName={`${mission.id}-metadata.json`} />
      <Relatives mission={mission} state={state} />
    </div>
  )
}

function MissionProblem ({ mission, state: { session } }: { mission: Mission; state: PageState }) {
  if (mission.error === undefined) return null
  const repeats = countRepeats(mission, session.missions.all(), session.clock.peek())
  return (
    <section class='problem' aria-label='Error'>
      <p class='problem-code'>
        <Icon name='error' /> <code>{cleanLine(mission.errorCode ?? 'error')}</code>
        {mission.errorCauses.length > 0 && (
          <>
            {' '}
            caused by{' '}
            {mission.errorCauses.map((code) => (
              <code key={code}>{cleanLine(code)}</code>
            ))}
          </>
        )}
      </p>
      <p class='problem-text'>{cleanLine(mission.error)}</p>
      {repeats > 0 && (
        <p class='muted'>
          {formatCount(repeats)} {repeats === 1 ? 'other' : 'others'} in the last hour
        </p>
      )}
    </section>
  )
}

function Facts ({ mission, state: { session } }: { mission: Mission, state: PageState }) {
  const { id, objective, tags, tagsOmitted, instance, tenant, waiting, cancel, phase } = mission
  const { queuedAt, startedAt, endedAt, durationMs } = mission
  const time = (at: number | undefined) => at !== undefined && <Time at={at} session={session} />
  const text = (value: string | undefined) => value !== undefined && cleanLine(value)
  const facts: Array<[label: string, value: ComponentChildren]> = [
    ['Id', <span key='id'><span class='breakable'>{cleanLine(id)}</span> <Copy text={id} what='id' /></span>],
    ['Objective', text(objective)],
    ['Queued', time(queuedAt)],
    ['Started', time(startedAt)],
    ['Ended', time(endedAt)],
    ['Duration', durationMs !== undefined && formatDuration(durationMs)],
    ['Waits for', text(waiting)],
    ['Cancelled', cancel !== undefined && phase !== 'active' && cancelText(mission)],
    ['Tags', tags.length > 0 && [
      ...tags.map((tag) => <span key={tag} class='tag'>{cleanLine(tag)}</span>),
      tagsOmitted > 0 && `and ${formatCount(tagsOmitted)} more`
    ]],
    ['Process', text(instance)],
    ['Tenant', text(tenant)]
  ]
  return (
    <dl class='facts number'>
      {facts.map(([label, value]) => value !== false && (
        <div key={label} class='fact'><dt>{label}</dt><dd>{value}</dd></div>
      ))}
    </dl>
  )
}

function cancelText ({ cancel }: Mission): string {
  const { kind, reason, by, forced } = cancel!
  const who = by === null ? kind : `${kind}, by ${cleanLine(by)}`
  const why = reason === null ? '' : `: ${cleanLine(reason)}`
  return `${who}${why}${forced === true ? ' (forced: the work did not end within the grace period)' : ''}`
}

function Relatives ({ mission, state }: { mission: Mission; state: PageState }) {
  const { missions, clock } = state.session
  const children = [...missions.all()]
    .map(({ mission: other }) => other.peek())
    .filter(({ parentId }) => parentId === mission.id)
  const parent = mission.parentId === undefined ? undefined : missions.get(mission.parentId)?.mission.peek()
  if (mission.parentId === undefined && children.length === 0) return null
  const link = (one: Mission) => (
    <li key={one.id}>
      <a href={`#/m/${encode(one.id)}`}>{cleanLine(one.name)}</a> <Status mission={one} />{' '}
      <span class='number muted'>{formatTime(one.startedAt, clock.peek())}</span>
    </li>
  )
  return (
    <section>
      <h3>Related</h3>
      <ul class='plain related'>
        {parent !== undefined && link(parent)}
        {parent === undefined && mission.parentId !== undefined && (
          <li>
            <a href={`#/m/${encode(mission.parentId)}`}>{cleanLine(mission.parentId)}</a> (parent)
          </li>
        )}
        {children.map(link)}
      </ul>
    </section>
  )
}
