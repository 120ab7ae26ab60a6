import { formatElapsed, formatNumber, formatTime, cleanLine } from '../../model/format.js'
import type { PageAlert } from '../../model/alerts.js'
import type { PageState } from '../context.js'
import { Icon } from '../icons.js'

/** The missions of an alert: the ones that it names, or a tab. */
function jumpFrom ({ anomaly }: PageAlert, state: PageState): (() => void) | undefined {
  const { missionIds } = anomaly
  const [id] = missionIds ?? []
  if (missionIds?.length === 1) return () => state.go({ mission: id })
  const { rule, category } = anomaly
  if (category !== 'mission' && missionIds === undefined) return undefined
  const name = anomaly.labels?.['name'] ?? ''
  const tab = /error/.test(rule)
    ? 'error'
    : /stall/.test(rule)
      ? 'stalled'
      : /cancel/.test(rule)
        ? 'cancelled'
        : 'active'
  return () => {
    state.go({ tab, name, q: '', panel: undefined })
    document.getElementById('missions')?.scrollIntoView()
  }
}

/** The firing alerts, worst first. */
export function AlertStrip ({ state }: { state: PageState }) {
  const { session } = state
  const firing = session.alerts.firing.value
  if (firing.length === 0) return null
  return (
    <section class='alerts' aria-label='Firing alerts'>
      <ul class='plain'>
        {firing.slice(0, 3).map((alert) => (
          <AlertRow key={alert.key} alert={alert} state={state} />
        ))}
      </ul>
      <button type='button' class='link' onClick={() => state.go({ panel: 'alerts' })}>
        {firing.length > 3 ? `${firing.length - 3} more and history` : 'History'}
      </button>
    </section>
  )
}

function AlertRow ({ alert, state }: { alert: PageAlert; state: PageState }) {
  const {
    anomaly: { severity, message, value, threshold },
    startsAt,
    endsAt
  } = alert
  const jump = jumpFrom(alert, state)
  const nowMs = state.session.now.value
  const isOver = endsAt !== undefined
  const since = isOver ? `for ${formatElapsed(endsAt - startsAt)}` : `since ${formatElapsed(nowMs - startsAt)}`
  return (
    <li class={`alert alert-${isOver ? 'info' : severity}`}>
      <Icon name={isOver ? 'completed' : severity === 'critical' ? 'error' : 'stalled'} />
      <strong class='alert-severity'>{isOver ? 'resolved' : severity}</strong>
      <span class='alert-message'>{cleanLine(message)}</span>
      {value !== null && threshold !== null && (
        <span class='alert-value number'>
          {formatNumber(value)}, limit {formatNumber(threshold)}
        </span>
      )}
      <span class='alert-since number'>
        {formatTime(startsAt, nowMs)} · {since}
      </span>
      {jump && (
        <button type='button' class='link' onClick={jump}>
          Show missions
        </button>
      )}
    </li>
  )
}

/** The firing alerts, and the last 200 resolved ones. */
export function AlertHistory ({ state }: { state: PageState }) {
  const { firing, history } = state.session.alerts
  const open = new Set(firing.value.map(({ key }) => key))
  const past = history.value.filter(({ key }) => !open.has(key))
  return (
    <>
      <h3>Firing</h3>
      {firing.value.length === 0 && <p class='muted'>Nothing fires.</p>}
      <ul class='plain'>
        {firing.value.map((alert) => (
          <AlertRow key={alert.key} alert={alert} state={state} />
        ))}
      </ul>
      <h3>History</h3>
      {past.length === 0 && <p class='muted'>No alert has been resolved yet.</p>}
      <ul class='plain'>
        {past.map((alert) => (
          <AlertRow key={alert.key} alert={alert} state={state} />
        ))}
      </ul>
    </>
  )
}
