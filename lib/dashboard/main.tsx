import { effect } from '@preact/signals'
import { render } from 'preact'
import { connect } from '../client/index.js'
import { ANNOUNCE_MS } from './model/announcer.js'
import { Session } from './model/session.js'
import { App } from './view/app.js'
import { isOutdated, isRefused, readConfig, tokenSource } from './view/config.js'
import { PageState } from './view/context.js'

const config = readConfig()
const session = new Session({ now: Date.now, isReadOnly: config.readOnly })
const getToken = tokenSource(config)
const client = connect(config.webSocketUrl, {
  channels: ['mission_update', 'mission_stats', 'metrics_tick', 'health_delta', 'anomaly_alert'],
  ...(getToken !== undefined && { getToken })
})
session.follow(client)
client.on('state', ({ cause, state }) => {
  // Only a service that was away for a moment can have been updated.
  if (state === 'open' && cause === 'connected' && session.isLoaded.peek()) {
    isOutdated().then((isOver) => { session.isNewer.value ||= isOver }, () => {})
  }
  if (cause === 'unreachable') isRefused().then((isOver) => isOver && session.expire(), () => {})
})

const state = new PageState(session, config)
effect(() => {
  document.documentElement.dataset['theme'] = state.shownTheme.value
})
effect(() => {
  const critical = session.alerts.firing.value.filter(({ anomaly }) => anomaly.severity === 'critical').length
  document.title = critical > 0 ? `(${critical}) ${config.title}` : config.title
})

// Changes are drawn at most five times a second; progress draws its own cell at once.
setInterval(() => session.missions.publish(), 200)
setInterval(() => session.tick(), 1_000)
setInterval(() => session.announcer.publish(), ANNOUNCE_MS)

document.body.textContent = ''
render(<App state={state} />, document.body)
