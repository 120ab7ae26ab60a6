// Plays recorded traces on a virtual clock and lists every alert that fires, with default options. The traces are not part of the project.
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const load = (path) => import(pathToFileURL(resolve(root, 'dist/lib', path)).href)

/** Where the traces are, unless the caller says so. */
const FOLDER = resolve(root, '../shared/data')
const DAY_MS = 86_400_000
/** While nothing is active for longer, nothing can change: every window of the rules is shorter. */
const LONGEST_IDLE_MS = 4 * 3_600_000

/**
 * Replays the three traces, or only the trace `only`. Returns for each trace the alerts by start time, the messages, and
 * the ids of stuck missions with how often each was named; `skipped` is the reason if a trace was not played.
 */
export async function replay ({ folder = FOLDER, only, alerts = {} } = {}) {
  const results = {}
  for (const [name, read] of Object.entries(TRACES)) {
    if (only !== undefined && only !== name) continue
    const path = resolve(folder, name)
    results[name] = existsSync(path) ? await play(read(readFileSync(path, 'utf8')), alerts) : { skipped: `no recorded trace at ${path}` }
  }
  return results
}

/** Each trace as missions: `steps` are the times of reports, and without `endedAt` a mission never ends. */
export const TRACES = {
  'genai-requests.csv': (text) => text.trim().split('\n').slice(1).map((line, at) => {
    const [created, name, status, seconds, tenant] = line.split(',')
    const startedAt = Date.parse(`${created.replace(' ', 'T')}Z`)
    const isEnded = status === 'SUCCEED' || status === 'FAILED'
    const endedAt = isEnded ? startedAt + Number(seconds) * 1_000 : undefined
    return { id: `request-${at + 2}`, name, tenant, startedAt, steps: [], endedAt, outcome: status === 'FAILED' ? 'error' : 'completed', error: { code: 'generation_failed', message: 'The service reported FAILED' } }
  }),
  'ci-jobs.json': (text) => JSON.parse(text).map((job) => {
    const steps = job.steps.flatMap((step) => [step.started_at, step.completed_at]).map(Date.parse)
    const startedAt = Math.min(Date.parse(job.created_at), ...steps)
    const outcome = { success: 'completed', failure: 'error', cancelled: 'cancelled', skipped: 'cancelled' }[job.conclusion]
    const failed = job.steps.find(({ conclusion }) => conclusion === 'failure')?.name ?? 'unknown'
    return { id: `job-${job.id}`, name: job.name, startedAt, steps, endedAt: Math.max(startedAt, Date.parse(job.completed_at), ...steps), outcome, kind: job.conclusion === 'skipped' ? 'skipped' : 'request', error: { code: 'step_failed', message: `Failed step: ${failed}` } }
  }),
  'coding-agent-run.json': (text) => {
    let at = 0
    const { trajectory, info } = JSON.parse(text)
    const steps = trajectory.map((step) => (at += step.execution_time_seconds * 1_000))
    return [{ id: 'run', name: 'coding agent', startedAt: 0, steps, endedAt: at, outcome: info.exit_status === 'submitted' ? 'completed' : 'error', error: { code: 'not_submitted', message: info.exit_status } }]
  }
}

/** The alerts, messages and stuck missions of one trace, played with tenants only if `tenants` names those that ask for their alerts. */
export async function play (missions, alerts = {}, tenants = []) {
  const { createCore } = await load('core.js')
  const { resolveOptions } = await load('base/options.js')
  const { CallbackErrors } = await load('base/callback-errors.js')
  const { createVirtualClock } = await load('base/virtual-clock.js')
  const { createMissions } = await load('missions/index.js')
  const events = eventsOf(missions)
  const clock = createVirtualClock(events[0].at)
  const log = { trace () {}, debug () {}, info () {}, warn () {}, error () {}, child: () => log }
  const errors = new CallbackErrors(log)
  const core = createCore({ options: resolveOptions({ alerts, missions: { maxActive: 1_000_000 } }, {}), clock, log, access: { isRestricted: false, isNarrowed: false }, callbackErrors: errors })
  const host = createMissions(core.missions)
  const messages = []
  core.alerts.of(undefined).onChanged((alert) => messages.push({ at: clock.now(), ...alert }))
  const tenantMessages = []
  for (const tenant of tenants) core.alerts.of(tenant).onChanged((alert) => tenantMessages.push({ at: clock.now(), ...alert }))
  core.alerts.start()
  for (const { at, report } of events) {
    const idle = core.missions.totals.active === 0 ? Math.max(0, at - clock.now() - LONGEST_IDLE_MS) : 0
    clock.stepWallClock(idle)
    clock.advance(at - clock.now())
    report(host)
  }
  clock.advance(DAY_MS / 24)
  const firing = core.alerts.of(undefined).firing()
  core.alerts.close()
  core.missions.close()
  return { ...summarize(missions, messages, events), stillFiring: firing.map(({ rule }) => rule), tenantMessages, errors: errors.read() }
}

function eventsOf (missions) {
  const events = missions.flatMap((mission) => {
    const { id, name, tenant, startedAt, steps, endedAt, outcome, kind, error } = mission
    const start = { at: startedAt, report: (host) => host.report(id, 'planning_started', { name, tenant }) }
    const reports = steps.map((at) => ({ at, report: (host) => host.report(id, 'execution_progress', { progress: `step ${at}` }) }))
    const end = { at: endedAt, report: (host) => host.report(id, outcome, outcome === 'error' ? { error } : { kind }) }
    return endedAt === undefined ? [start] : [start, ...reports, end]
  })
  return events.sort((a, b) => a.at - b.at)
}

function summarize (missions, messages, events) {
  const fired = new Map()
  for (const { at, alertId, rule, severity, message, missionIds } of messages) {
    const alert = fired.get(alertId) ?? { rule, severity, startsAt: new Date(at).toISOString(), endsAt: null, message, messages: 0, missionIds }
    alert.messages++
    fired.set(alertId, alert)
  }
  for (const { alertId, state, at } of messages) if (state === 'resolved') fired.get(alertId).endsAt = new Date(at).toISOString()
  const named = {}
  for (const { rule, state, missionIds = [] } of messages) {
    if (rule === 'missions_stalled' && state === 'firing') for (const id of missionIds) named[id] = (named[id] ?? 0) + 1
  }
  const stuck = missions.filter(({ endedAt }) => endedAt === undefined).map(({ id }) => id)
  const alerts = [...fired.values()]
  const days = (events.at(-1).at - events[0].at) / DAY_MS
  return { alerts, firingMessages: messages.filter(({ state }) => state === 'firing').length, byRule: countBy(alerts, ({ rule }) => rule), days, alertsPerDay: alerts.length / Math.max(1, days), stuck, named }
}

function countBy (list, keyOf) {
  const counts = {}
  for (const one of list) counts[keyOf(one)] = (counts[keyOf(one)] ?? 0) + 1
  return counts
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(await replay(), null, 2))
