import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import type { ClientMissionState, ClientState, StateCause } from '../lib/client/index.js'
import { AlertList, MAX_ALERT_ROWS } from '../lib/dashboard/model/alerts.js'
import { Announcer } from '../lib/dashboard/model/announcer.js'
import { explain, stopMissions } from '../lib/dashboard/model/commands.js'
import { describeConnection, type ConnectionFacts } from '../lib/dashboard/model/connection.js'
import { cleanBlock, cleanLine, fillTemplate, formatCount, formatDuration, formatElapsed, formatNumber, formatPercent, formatTime, shortenId } from '../lib/dashboard/model/format.js'
import { Entry, isTaskEnd } from '../lib/dashboard/model/missions/entry.js'
import { elapsedMs, fractionOf, fromState, fromView } from '../lib/dashboard/model/missions/mission.js'
import { MAX_ENDED, MAX_LOADED, Missions } from '../lib/dashboard/model/missions/missions.js'
import { phasesOf } from '../lib/dashboard/model/missions/phases.js'
import { Reading } from '../lib/dashboard/model/missions/reading.js'
import { countRepeats, normalizeError } from '../lib/dashboard/model/missions/repeats.js'
import { selectRows } from '../lib/dashboard/model/missions/rows.js'
import { BUCKET_MS, BUCKETS, computeTrends, quantile } from '../lib/dashboard/model/missions/trends.js'
import { formatRoute, HOME, parseRoute, SORT_KEYS, TABS, TIME_RANGES, type Route } from '../lib/dashboard/model/route.js'
import { fieldsOf, readForm } from '../lib/dashboard/model/schema-form.js'
import { MAX_HELD, Session } from '../lib/dashboard/model/session.js'
import { isTaskEnd as endsTask } from '../lib/missions/state/parts/tasks.js'
import type { Anomaly, MissionStatus, MissionView, StatusTime } from '../schemas/index.js'
import { FakeClient } from './support/fake-client.js'

const NOW = Date.UTC(2026, 4, 1, 12)
const MINUTE = 60_000

const state = (missionId: string, more: Partial<ClientMissionState> = {}): ClientMissionState =>
  ({ missionId, name: 'import', status: 'execution_started', seq: 1, startedAt: NOW, ...more })

const ended = (missionId: string, more: Partial<ClientMissionState> = {}): ClientMissionState =>
  state(missionId, { status: 'completed', endedAt: NOW + 1_000, durationMs: 1_000, ...more })

const progress = (index: number, more: object = {}) => ({ taskId: `task ${index}`, index, total: 10, status: 'running', ...more })

const view = (id: string, more: Partial<MissionView> = {}): MissionView => ({
  id, name: 'import', objective: null, tags: [], tagsOmitted: 0, metadata: null, tenant: null, parentId: null, instance: null, status: 'completed', seq: 3, attempt: 1, attempts: [], attemptsOmitted: 0, queuedAt: null, startedAt: NOW, updatedAt: NOW, endedAt: NOW + 1_000, durationMs: 1_000, progress: null, error: null, cancel: null, stalled: false, waiting: null, tasks: [], tasksOmitted: 0, notes: [], notesOmitted: 0, statusTimes: [], lateOutcome: null, ...more
})

/** Missions with these states, published. */
function known (...states: ClientMissionState[]): Missions {
  const missions = new Missions()
  for (const one of states) missions.apply(one, NOW, true)
  missions.publish()
  return missions
}

const alert = (alertId: string, more: Partial<Anomaly> = {}): Anomaly =>
  ({ category: 'mission', severity: 'warning', message: `${alertId} fires`, metric: null, value: null, threshold: null, details: null, alertId, rule: 'mission_active', state: 'firing', ...more })

t.test('times, durations and numbers are short and keep their width', async (t) => {
  t.strictSame([0, 420, 1_850, 9_999, 41_000, 185_000, 7_800_000, 273_600_000].map(formatDuration), ['0 ms', '420 ms', '1.8 s', '9.9 s', '41 s', '3 m 05 s', '2 h 10 m', '3 d 4 h'])
  t.strictSame([-5, 900, 59_999, 61_000].map(formatElapsed), ['0 s', '0 s', '59 s', '1 m 01 s'])
  t.match(formatTime(NOW, NOW), /^\d\d:\d\d:\d\d$/)
  t.match(formatTime(NOW - 3 * 86_400_000, NOW), /^2026-04-28 \d\d:\d\d:\d\d$/)
  t.equal(formatCount(1_234_567), '1\u202f234\u202f567')
  t.strictSame([0, 0.031, 0.5, 1].map(formatPercent), ['0 %', '3.1 %', '50 %', '100 %'])
  t.strictSame([1_200, 0.61538].map(formatNumber), ['1\u202f200', '0.615'])
  t.strictSame(['short', 'mission_eab635eb-d08d-4d39'].map(shortenId), ['short', 'missio…-4d39'])
})

t.test('text that would spoof or move other text is made visible', async (t) => {
  t.equal(cleanLine('safe\u202egnp.exe'), 'safe␦gnp.exe')
  t.equal(cleanLine('a\nb\tc\u001b[31m'), 'a b c␦[31m')
  t.equal(cleanBlock('a\r\nb\u0007\tc\u200b'), 'a\nb␦\tc␦')
  t.equal(cleanLine('<b>👩‍🚀 naïve'), '<b>👩␦🚀 naïve')
})

t.test('a link of the host is filled with encoded values', async (t) => {
  const subject = { id: 'a/b c', name: 'x&y', tags: ['team:blue', 'trace=9f'] }
  t.equal(fillTemplate('https://t.example/{id}?n={name}&team={tag:team}&trace={tag:trace}&no={tag:no}&{other}', subject),
    'https://t.example/a%2Fb%20c?n=x%26y&team=blue&trace=9f&no=&{other}')
})

t.test('half of an emoji in an id, a name or a tag is replaced in addresses', async (t) => {
  t.equal(fillTemplate('{id}-{name}-{tag:k}', { id: 'a\ud83d', name: '\ude80b', tags: ['k:\ud83d'] }), 'a%EF%BF%BD-%EF%BF%BDb-%EF%BF%BD')
  t.equal(formatRoute({ ...HOME, mission: '\ud83d🚀' }), '#/m/%EF%BF%BD%F0%9F%9A%80')
})

t.test('every view has an address, and every address a view', async (t) => {
  const text = fc.string({ maxLength: 40 })
  const route = fc.record<Route>({
    tab: fc.constantFrom(...TABS), q: text, name: text, minutes: fc.constantFrom(...TIME_RANGES), tenant: text, sort: fc.constantFrom(...SORT_KEYS), isAscending: fc.boolean(), mission: fc.option(fc.string({ minLength: 1, maxLength: 40 }), { nil: undefined }), panel: fc.constant(undefined)
  })
  fc.assert(fc.property(route, (route) => { t.strictSame(parseRoute(formatRoute(route)), { ...route }) }), { numRuns: 200 })
  t.equal(formatRoute({ ...HOME, panel: 'alerts' }), '#/alerts')
  t.equal(parseRoute('#/alerts').panel, 'alerts')
  t.strictSame(parseRoute('#/x?status=nonsense&minutes=7&sort=evil'), HOME)
  t.equal(parseRoute('#/m/%E0%A4%A').mission, '%E0%A4%A')
  t.equal(parseRoute(`?q=${'x'.repeat(999)}`).q.length, 256)
})

t.test('a mission keeps what updates do not repeat, within one attempt', async (t) => {
  const first = fromState(state('a', { objective: 'all', parentId: 'p', metadata: { x: 1 }, planningSession: 'plan', note: { text: 'n', at: 1 } }), undefined, NOW)
  const { startedAt: _, ...later } = state('a', { seq: 2, stalled: true, note: { text: 'm', at: 2 } })
  const next = fromState(later, first, NOW + 5)
  t.match(next, { objective: 'all', parentId: 'p', metadata: { x: 1 }, plan: 'plan', startedAt: NOW, isStalled: true, attempt: 1 })
  t.strictSame(next.notes.map(({ text }) => text), ['n', 'm'])
  t.strictSame(fromState(later, next, NOW).notes, next.notes, 'a note that is repeated is one note')
  const retried = fromState(state('a', { attempt: 2, startedAt: NOW + 9 }), next, NOW)
  t.match(retried, { attempt: 2, objective: undefined, metadata: undefined, startedAt: NOW + 9 })
  t.match(fromView(view('v', { error: { code: 'E', message: 'text', causes: ['C'] }, status: 'error', progress: progress(1) })), { phase: 'error', error: 'text', errorCode: 'E', errorCauses: ['C'] })
  t.equal(elapsedMs(first, NOW + 700), 700)
  t.equal(fromState({ missionId: 'n', name: 'job', status: 'planned', seq: 1 }, undefined, NOW).startedAt, NOW, 'a start that nobody has named is now')
  t.equal(elapsedMs(fromState(ended('b', { durationMs: undefined as never }), undefined, NOW), NOW), 1_000)
})

t.test('how much is done is known only if the total is', async (t) => {
  t.equal(fractionOf(undefined), undefined)
  t.equal(fractionOf(progress(4, { fraction: 0.25 })), 0.25)
  t.equal(fractionOf(progress(1, { total: 1 })), undefined)
  t.equal(fractionOf(progress(5)), 0.4)
  t.equal(fractionOf(progress(5, { status: 'completed' })), 0.5)
})

t.test('progress alone changes the progress of one mission and nothing else', async (t) => {
  const missions = known(state('a', { status: 'execution_progress', progress: progress(1) }))
  const entry = missions.get('a')!
  const note = { text: 'approved', at: 5 }
  missions.apply(state('a', { status: 'execution_progress', progress: progress(1), note }), NOW, false)
  missions.publish()
  const [version, mission] = [missions.version.value, entry.mission.value]
  missions.apply(state('a', { status: 'execution_progress', progress: progress(1), note }), NOW, false)
  t.equal(entry.mission.value, mission, 'the client repeats the last note')
  t.equal(missions.apply(state('a', { status: 'execution_progress', progress: progress(2) }), NOW + 5, false), undefined)
  missions.publish()
  t.equal(entry.progress.value?.index, 2)
  t.equal(entry.mission.value, mission)
  t.equal(missions.version.value, version)
  missions.apply(state('a', { status: 'execution_progress', progress: progress(3) }), NOW, true)
  t.equal(entry.tasks.size, 2, 'a snapshot is no task that was seen')
})

t.test('steps and tasks are kept as the page sees them', async (t) => {
  const missions = known()
  const say = (more: Partial<ClientMissionState>, at: number) => missions.apply(state('a', more), NOW + at, false)
  say({ status: 'planning_started' }, 0)
  say({ status: 'execution_progress', progress: progress(1) }, 10)
  say({ status: 'execution_progress', progress: progress(1, { status: 'completed' }) }, 40)
  say({ status: 'execution_progress', progress: progress(2, { status: 'completed' }) }, 90)
  say({ status: 'execution_progress', progress: progress(2) }, 95)
  say({ status: 'execution_progress', stalled: true }, 100)
  say({ status: 'execution_progress' }, 110)
  say({ status: 'execution_progress', waiting: 'a lock' }, 120)
  say({ status: 'execution_progress', waiting: 'a lock', note: { text: 'approved', at: 5 } }, 130)
  say({ status: 'execution_progress', cancel: { requested: true, kind: 'client', reason: null, by: null } }, 140)
  say({ status: 'planning_started', attempt: 2 }, 150)
  const entry = missions.get('a')!
  t.strictSame(entry.steps.map(({ text }) => text), ['planning started', 'execution progress', 'stalled', 'active again', 'waits: a lock', 'note: approved', 'stop requested (client)', 'attempt 2 started'])
  t.equal(entry.stopSeenAt, NOW + 140)
  const [one, two] = [...entry.tasks.values()]
  t.match(one, { taskId: 'task 1', from: NOW + 10, to: NOW + 40 })
  t.match(two, { taskId: 'task 2', from: NOW + 40, to: undefined }, 'it began when the one before it ended, and was reopened')
  say({ attempt: 2, status: 'planning_started', metadata: { x: 1 } }, 160)
  t.equal(entry.steps.at(-1)!.text, 'planning started')
})

t.test('the page and the service agree on when a task has ended', async (t) => {
  const ends = /A task ends with one of the statuses ([^.]+)\./.exec(readFileSync('docs/missions.md', 'utf8'))![1]!.match(/(?<=`)\w+(?=`)/g)!
  t.ok(ends.length >= 16)
  for (const status of [...ends, 'running', 'queued', 'in_progress', 'started', 'not ok', 'Done']) {
    t.strictSame([status, isTaskEnd(status), endsTask(status)], [status, ends.includes(status), ends.includes(status)])
  }
})

t.test('what the service tells of one mission replaces what the page has seen', async (t) => {
  const missions = known()
  const say = (more: Partial<ClientMissionState>, at: number) => missions.apply(state('a', more), NOW + at, false)
  say({ status: 'planning_started' }, 5)
  say({ status: 'execution_started' }, 40)
  say({ status: 'execution_progress', progress: progress(3) }, 95)
  say({ status: 'execution_progress', progress: progress(3), stalled: true }, 120)
  const entry = missions.get('a')!
  t.strictSame(entry.statusTimes.map(({ status, at }) => [status, at - NOW]),
    [['planning_started', 5], ['execution_started', 40], ['execution_progress', 95]])
  entry.addDetails({
    missionId: 'a',
    name: 'import',
    status: 'execution_progress',
    seq: 9,
    statusTimes: [{ status: 'planning_started', at: NOW }, { status: 'execution_started', at: NOW + 30 }, { status: 'execution_progress', at: NOW + 35 }],
    tasks: [
      { taskId: 'task 1', index: 1, status: 'completed', startedAt: NOW + 35, endedAt: NOW + 50 },
      { taskId: 'task 2', index: 2, status: 'done', startedAt: NOW + 80, endedAt: NOW + 80 },
      { taskId: 'of an older version', index: 3, status: 'done' }
    ]
  })
  t.strictSame(entry.steps.map(({ at, text }) => [at - NOW, text]),
    [[0, 'planning started'], [30, 'execution started'], [35, 'execution progress'], [120, 'stalled']])
  t.strictSame([...entry.tasks.values()].map(({ taskId, from, to }) => [taskId, from - NOW, to && to - NOW]),
    [['task 1', 35, 50], ['task 2', 50, 80], ['task 3', 95, undefined]], 'a task told once it has ended began after the one before it')
  say({ status: 'execution_progress', attempt: 2 }, 200)
  t.strictSame(entry.statusTimes, [{ status: 'execution_progress', at: NOW + 200 }])
  entry.addDetails({ missionId: 'a', name: 'import', status: 'execution_progress', seq: 10 })
  t.strictSame(entry.statusTimes, [{ status: 'execution_progress', at: NOW + 200 }], 'an ended mission that is kept only briefly has no details')
})

t.test('the phases of a mission', async (t) => {
  const at = (status: MissionStatus, ms: number) => ({ status, at: NOW + ms })
  const tell = (times: StatusTime[], more: Partial<ClientMissionState> = {}) =>
    phasesOf(fromState(state('a', more), undefined, NOW), times, NOW + 100).map(({ name, ms }) => [name, ms])
  t.strictSame(tell([at('planning_started', 0)]), [['running', 100]])
  t.strictSame(tell([at('planning_started', 0), at('execution_progress', 30)]), [['running', 100]], 'no planning was reported')
  t.strictSame(tell([at('planning_started', 0), at('tasks_generated', 30)]), [['planning', 100]])
  t.strictSame(tell([at('planning_started', 0), at('planned', 30), at('execution_progress', 60)]), [['planning', 60], ['execution', 40]])
  t.strictSame(tell([at('planning_started', 0), at('execution_started', 20)], { endedAt: NOW + 50 }), [['planning', 20], ['execution', 30]])
  t.strictSame(tell([at('execution_started', 0)], { queuedAt: NOW - 40 }), [['queued', 40], ['execution', 100]])
  t.strictSame(tell([at('execution_started', 0)], { startedAt: NOW + 500 }), [], 'the clock of the page is behind')
})

t.test('steps and tasks of one mission are bounded', async (t) => {
  const entry = new Entry(fromState(state('a'), undefined, NOW), undefined, NOW)
  for (let index = 0; index < 500; index++) {
    entry.addStep(NOW + index, `step ${index}`)
    entry.addProgress(progress(index), NOW + index)
  }
  t.equal(entry.steps.length, 100)
  t.equal(entry.steps.at(-1)!.text, 'step 499')
  t.equal(entry.tasks.size, 200)
  entry.addStep(NOW, 'step 499')
  t.equal(entry.steps.length, 100, 'the same step again is no step')
  const late = new Entry(fromState(state('b'), undefined, NOW), undefined, NOW)
  late.addProgress(progress(1, { status: 'failed' }), NOW + 50)
  t.match([...late.tasks.values()], [{ from: NOW, to: NOW + 50 }])
})

t.test('all active missions and the latest that ended are kept', async (t) => {
  const missions = known(state('active'), ...Array.from({ length: MAX_ENDED + 5 }, (_, index) => ended(`e${index}`)))
  t.equal(missions.size, MAX_ENDED + 1)
  t.equal(missions.get('e4'), undefined)
  t.ok(missions.get('e5'))
  t.match(missions.counts.value, { active: 1, completed: MAX_ENDED, stalled: 0 })
  missions.add(Array.from({ length: MAX_LOADED }, (_, index) => view(`old ${index}`, { endedAt: index })), NOW)
  t.equal(missions.size, MAX_LOADED)
  missions.apply(ended('new'), NOW, false)
  missions.apply(state('another'), NOW, false)
  missions.publish()
  t.ok(missions.get('new'))
  t.ok(missions.size <= MAX_LOADED)
  missions.remove('new')
  missions.remove('new')
  t.equal(missions.get('new'), undefined)
  missions.add(['listed', 'too'].map((id) => view(id, { status: 'planned', endedAt: null, durationMs: null })), NOW)
  t.ok(missions.get('listed') && missions.get('too'), 'active missions are always kept')
})

t.test('a list adds what only lists contain, and never overwrites what is newer', async (t) => {
  const missions = known(state('a', { stalled: true, tenant: 'blue' }))
  missions.add([view('a', { instance: 'p-1', tenant: 'blue', notes: [{ text: 'n', at: 1 }] })], NOW)
  t.match(missions.get('a')!.mission.value, { phase: 'active', instance: 'p-1', tenant: 'blue', isStalled: true, notes: [{ text: 'n' }] })
  const before = missions.get('a')!.mission.value
  missions.add([view('a', { instance: 'p-1', tenant: 'blue', notes: [{ text: 'other', at: 2 }] })], NOW)
  t.equal(missions.get('a')!.mission.value, before)
  missions.publish()
  t.equal(missions.counts.value.stalled, 1)
})

t.test('one tenant can be chosen, with its counts', async (t) => {
  const missions = known(state('a', { tenant: 'blue' }), ended('b', { tenant: 'red' }), state('c'))
  const ids = () => [...missions.all()].map(({ id }) => id)
  t.strictSame(missions.tenants(), new Set(['blue', 'red', undefined]))
  missions.choose('blue')
  t.strictSame([ids(), missions.counts.value.active, missions.counts.value.completed], [['a'], 1, 0])
  missions.apply(state('d', { tenant: 'blue' }), NOW, false)
  missions.apply(ended('a', { seq: 2 }), NOW, false)
  missions.publish()
  t.strictSame([ids(), missions.counts.value.active, missions.counts.value.completed], [['a', 'd'], 1, 1], 'later updates do not name the tenant')
  const { version } = missions
  const before = version.value
  missions.choose('blue')
  t.equal(version.value, before, 'choosing it again changes nothing')
  missions.choose('')
  t.strictSame([ids(), missions.counts.value.active], [['a', 'b', 'c', 'd'], 2])
})

const idsOf = (missions: Missions, route: Partial<Route> = {}) =>
  selectRows(missions.all(), { ...HOME, ...route }, NOW + MINUTE).map(({ entry, depth }) => `${'>'.repeat(depth)}${entry.id}`)

t.test('rows match the tab, the search, the name and the time', async (t) => {
  const missions = known(
    state('run', { tags: ['team:Blue'] }), state('stuck', { stalled: true, startedAt: NOW - 30 * MINUTE }),
    ended('bad', { status: 'error', error: 'Disk FULL', errorCode: 'ENOSPC', name: 'export' }), ended('done'), ended('gone', { status: 'cancelled' })
  )
  const sorted = (route: Partial<Route>) => idsOf(missions, route).sort()
  t.strictSame(TABS.map((tab) => sorted({ tab })), [['bad', 'done', 'gone', 'run', 'stuck'], ['run', 'stuck'], ['stuck'], ['done'], ['bad'], ['gone']])
  t.strictSame(['disk full', 'enospc', 'BLUE', 'stu', 'nothing'].map((q) => sorted({ q })), [['bad'], ['bad'], ['run'], ['stuck'], []])
  t.strictSame(sorted({ name: 'export' }), ['bad'])
  t.strictSame(sorted({ minutes: 15 }), ['bad', 'done', 'gone', 'run'])
})

t.test('rows are sorted, and equal ones keep the order of their start', async (t) => {
  const missions = known(
    state('a', { name: 'z', startedAt: NOW - 3 }), ended('b', { name: 'y', startedAt: NOW - 2, durationMs: 9_000_000 }), ended('c', { name: 'y', startedAt: NOW - 1, status: 'error' })
  )
  t.strictSame(idsOf(missions), ['c', 'b', 'a'])
  t.strictSame(idsOf(missions, { isAscending: true }), ['a', 'b', 'c'])
  t.strictSame(idsOf(missions, { sort: 'name', isAscending: true }), ['c', 'b', 'a'])
  t.strictSame(idsOf(missions, { sort: 'elapsed' }), ['b', 'a', 'c'])
  t.strictSame(idsOf(missions, { sort: 'status', isAscending: true }), ['c', 'a', 'b'])
  t.strictSame(idsOf(known(state('x'), state('y'))), ['x', 'y'])
  t.strictSame(idsOf(known(state('y'), state('x'))), ['x', 'y'])
})

t.test('children stand below their parent, also when parents name each other', async (t) => {
  const child = (id: string, parentId: string) => state(id, { parentId })
  t.strictSame(idsOf(known(state('p'), child('c', 'p'), child('g', 'c'), child('own', 'own'), child('orphan', 'none'))), ['orphan', 'own', 'p', '>c', '>>g'])
  t.strictSame(idsOf(known(child('x', 'y'), child('y', 'x'))).sort(), ['x', 'y'])
  t.strictSame(idsOf(known(child('a', 'z'), state('z'), child('b', 'z'))), ['z', '>a', '>b'])
})

t.test('nothing moves while somebody reads, and what is new is counted', async (t) => {
  const missions = known(state('a'), state('b'))
  const reading = new Reading()
  const show = (isReading: boolean) => {
    const shown = reading.show(selectRows(missions.all(), HOME, NOW), isReading, ({ id }) => missions.get(id) !== undefined)
    return [shown.rows.map(({ entry }) => entry.id).join(), shown.newCount]
  }
  t.strictSame(show(false), ['a,b', 0])
  t.strictSame(show(true), ['a,b', 0])
  missions.apply(state('0', { startedAt: NOW + 5 }), NOW, false)
  t.strictSame(show(true), ['a,b', 1])
  missions.remove('a')
  t.strictSame(show(true), ['b', 1])
  reading.release()
  t.strictSame(show(true), ['0,b', 0])
  t.strictSame(show(false), ['0,b', 0])
})

t.test('trends are counted from the missions, and unknown where missions may be missing', async (t) => {
  const at = (minutes: number) => NOW - minutes * MINUTE
  const missions = known(
    state('run', { startedAt: at(5.2), stalled: true }), ended('a', { startedAt: at(11), endedAt: at(10), durationMs: MINUTE }),
    ended('b', { startedAt: at(12), endedAt: at(10), durationMs: 2 * MINUTE, status: 'error' }), ended('old', { startedAt: at(90), endedAt: at(80) })
  )
  const buckets = computeTrends({ entries: missions.all(), nowMs: NOW, completeSinceMs: at(20) })
  t.equal(buckets.length, BUCKETS)
  const bucket = (minutes: number) => buckets.find((one) => one.at === Math.floor(at(minutes) / BUCKET_MS) * BUCKET_MS)
  t.match(bucket(10), { completed: 1, error: 1, cancelled: 0, errorShare: 0.5, p50: MINUTE, p95: 2 * MINUTE, active: 0 })
  t.match(bucket(10.9), { active: 2, completed: 0, errorShare: null, p50: null })
  t.match(buckets.at(-1), { active: 1, stalled: 1 })
  t.match(bucket(25), { active: null, completed: null, errorShare: null })
  t.equal(quantile([], 0.5), null)
  t.equal(quantile([1, 2, 3, 4], 0.5), 2)
  const noEnd = computeTrends({ entries: known(ended('x', { endedAt: undefined as never })).all(), nowMs: NOW, completeSinceMs: 0 })
  t.equal(noEnd.at(-1)!.completed, 1)
})

t.test('the connection is told in words, and only a live page counts as true', async (t) => {
  const facts: ConnectionFacts = { state: 'open', cause: 'connected', retryAt: undefined, lastMessageAt: NOW, wasLive: true, isCaughtUp: true }
  const tell = (more: Partial<ConnectionFacts>, later = 0) => {
    const { text, isLive, action } = describeConnection({ ...facts, ...more }, NOW + later)
    return [text, isLive, action]
  }
  t.strictSame(tell({}), ['live', true, undefined])
  t.strictSame(tell({ isCaughtUp: false }), ['catching up', false, undefined])
  t.strictSame(tell({ isCaughtUp: false, wasLive: false }), ['loading', false, undefined])
  t.strictSame(tell({ state: 'stale', cause: 'silent' }, 71_000), ['stale for 71 s', false, undefined])
  t.strictSame(tell({ state: 'stale', lastMessageAt: undefined }), ['stale for 0 s', false, undefined])
  t.strictSame(tell({ state: 'connecting', wasLive: false }), ['connecting', false, undefined])
  t.strictSame(tell({ state: 'connecting' }), ['reconnecting', false, undefined])
  t.strictSame(tell({ state: 'waiting', cause: 'unreachable', retryAt: NOW + 3_200 }), ['reconnecting in 4 s', false, 'retry'])
  t.strictSame(tell({ state: 'waiting', cause: 'unreachable' }), ['reconnecting', false, 'retry'])
  t.strictSame(tell({ state: 'waiting', cause: 'hidden' }), ['paused in the background', false, undefined])
  t.strictSame(tell({ state: 'waiting', cause: 'token_failed' }), ['session expired, trying again', false, 'retry'])
  t.strictSame(tell({ state: 'connecting', cause: 'token_failed' }), ['session expired, trying again', false, undefined])
  t.strictSame(tell({ state: 'closed', cause: 'unauthorised' }), ['session expired', false, 'reload'])
  t.strictSame(tell({ state: 'closed', cause: 'close_1002' }), ['disconnected: close_1002', false, 'reload'])
})

t.test('alerts fire with the worst first, and are kept when they are resolved', async (t) => {
  const list = new AlertList()
  t.equal(list.apply(alert('w'), NOW)?.key, 'w')
  t.equal(list.apply(alert('w'), NOW + 5), undefined, 'no news')
  t.ok(list.apply(alert('c', { severity: 'critical', startsAt: '2026-05-01T11:00:00.000Z' }), NOW))
  t.ok(list.apply(alert('v', { snapshot: true }), NOW - 5))
  t.strictSame(list.firing.value.map(({ key }) => key), ['c', 'v', 'w'])
  t.equal(list.firing.value[0]!.startsAt, NOW - 60 * MINUTE)
  list.apply(alert('w', { state: 'resolved', severity: 'info' }), NOW + 10)
  list.apply(alert('c', { state: 'resolved', severity: 'info', startsAt: '2026-05-01T11:00:00.000Z', endsAt: '2026-05-01T11:30:00.000Z' }), NOW + 10)
  t.strictSame(list.firing.value.map(({ key }) => key), ['v'])
  t.match(list.history.value.map(({ key, startsAt, endsAt }) => [key, startsAt, endsAt]), [['w', NOW, NOW + 10], ['c', NOW - 60 * MINUTE, NOW - 30 * MINUTE]])
  list.load(Array.from({ length: 300 }, (_, index) => alert(`h${index}`, { state: 'resolved' })), NOW)
  t.equal(list.history.value.length, MAX_ALERT_ROWS)
  list.clear()
  t.strictSame(list.firing.value, [])
})

t.test('a screen reader hears endings together, and critical alerts at once', async (t) => {
  const announcer = new Announcer()
  const end = (status: 'completed' | 'error' | 'cancelled') => announcer.addEnding(fromState(ended('a', { status }), undefined, NOW))
  end('completed')
  announcer.publish()
  t.equal(announcer.polite.value, '', 'a completed mission alone is no news')
  for (const status of ['error', 'error', 'error', 'cancelled', 'completed'] as const) end(status)
  announcer.publish()
  t.equal(announcer.polite.value, '3 missions failed. 1 mission cancelled. 1 mission completed')
  const list = new AlertList()
  announcer.addAlert(list.apply(alert('w', { message: 'many\u202e active' }), NOW)!)
  t.equal(announcer.assertive.value, '')
  announcer.addAlert(list.apply(alert('c', { severity: 'critical', message: 'down' }), NOW)!)
  t.equal(announcer.assertive.value, 'Critical alert: down')
  announcer.publish()
  t.equal(announcer.polite.value, 'Alert: many␦ active')
  announcer.publish()
  t.equal(announcer.polite.value, 'Alert: many␦ active', 'nothing new is said')
})

t.test('the same error is counted, whatever differs in it', async (t) => {
  t.equal(normalizeError('row 17 of "a.csv" at 0x1f in 9f86d081884c'), normalizeError('row 4 of "b.csv" at 0x2e in 2c26b46b68ff'))
  const fail = (id: string, error: string, more: Partial<ClientMissionState> = {}) => ended(id, { status: 'error', error, errorCode: 'E', ...more })
  const missions = known(fail('a', 'row 1'), fail('b', 'row 2'), fail('c', 'row 3', { errorCode: 'F' }), fail('d', 'row 4', { endedAt: NOW - 61 * MINUTE }), fail('e', 'column 5'), ended('f'), ended('g', { status: 'error', errorCode: 'E' }))
  t.equal(countRepeats(missions.get('a')!.mission.value, missions.all(), NOW), 1)
  t.equal(countRepeats(missions.get('f')!.mission.value, missions.all(), NOW), 0)
})

t.test('a form follows the schema of the service', async (t) => {
  const fields = fieldsOf({
    type: 'object',
    required: ['url'],
    properties: {
      url: { type: 'string', title: 'Address', description: 'What to import.' },
      depth: { type: 'integer', default: 2 },
      full: { type: 'boolean', default: true },
      mode: { enum: ['fast', 'careful'] },
      level: { anyOf: [{ const: 'a' }, { const: 'b' }], default: 'b' },
      more: { type: 'object' }
    }
  })
  t.strictSame(fields.map(({ name, kind, isRequired, initial }) => [name, kind, isRequired, initial]), [
    ['url', 'text', true, ''], ['depth', 'number', false, '2'], ['full', 'checkbox', false, true], ['mode', 'select', false, ''], ['level', 'select', false, 'b'], ['more', 'json', false, '']
  ])
  t.match(fields[0], { label: 'Address', hint: 'What to import.' })
  t.strictSame(readForm(fields, new Map<string, string | boolean>([['url', 'https://x'], ['more', '{"a":[1]}'], ['full', false]])), { url: 'https://x', depth: 2, full: false, level: 'b', more: { a: [1] } })
  t.throws(() => readForm(fields, new Map([['url', 'x'], ['more', '{']])), { message: 'more is not valid JSON' })
  const whole = fieldsOf(undefined)
  t.match(whole, [{ name: '', kind: 'json', label: 'Parameters' }])
  t.strictSame(readForm(whole, new Map()), {})
  t.strictSame(fieldsOf({ properties: { odd: { enum: [1, 2] } } })[0]!.kind, 'json')
})

t.test('a refusal is explained, and every mission is asked for', async (t) => {
  t.equal(explain({ reason: 'forbidden' }), 'You may not do this.')
  t.equal(explain({ code: 'MC_CLIENT_TIMEOUT' }), 'The service has not answered in time.')
  t.match(explain(new Error('secret')), /its log says why/)
  const fake = new FakeClient()
  fake.answer = (request) => {
    if (request.missionId === 'b') throw Object.assign(new Error(), { reason: 'unknown_mission' })
    return {}
  }
  t.strictSame(await stopMissions(fake.client, ['a', 'b', 'c'], 'too slow'), ['It has ended, or you may not stop it.'])
  t.strictSame(fake.requests, ['a', 'b', 'c'].map((missionId) => ({ type: 'mission_cancel', missionId, reason: 'too slow' })))
  await stopMissions(fake.client, ['a'], '')
  t.strictSame(fake.requests.at(-1), { type: 'mission_cancel', missionId: 'a' })
})

/** A session that follows a fake client at a time that the test moves. */
function follow (isReadOnly = false) {
  const time = { now: NOW }
  const session = new Session({ now: () => time.now, isReadOnly })
  const fake = new FakeClient()
  const pages: Array<{ missions: MissionView[], nextCursor: string | null }> = []
  const alerts: Anomaly[] = []
  fake.answer = ({ type }) => {
    if (type === 'whoami') return { server: 'orders', version: '2.0', channels: [], capabilities: ['mission_start', 'mission_cancel'], limits: {}, startSchema: { type: 'object' }, cancelGraceMs: 10_000 }
    if (type === 'mission_list') return pages.shift() ?? { missions: [], nextCursor: null }
    if (type === 'anomaly_history') return { alerts }
    throw Object.assign(new Error(), { reason: 'unknown_mission' })
  }
  session.follow(fake.client)
  return { session, fake, pages, alerts, time }
}

t.test('a session is loading, then live once it knows everything', async (t) => {
  const { session, fake, pages, alerts } = follow()
  pages.push({ missions: [view('old')], nextCursor: null })
  alerts.push(alert('past', { state: 'resolved', endsAt: '2026-05-01T11:30:00.000Z' }))
  fake.emit('state', { state: 'open', cause: 'connected' })
  t.equal(session.connection.value.text, 'loading')
  fake.update(state('a', { status: 'planned' }), true)
  await fake.settle()
  t.equal(session.connection.value.text, 'live')
  t.equal(session.isLoaded.value, true)
  t.match(session.service.value, { name: 'orders', version: '2.0', canStart: true, canCancel: true, startSchema: {}, cancelGraceMs: 10_000 })
  t.strictSame([...session.missions.all()].map(({ id }) => id), ['a', 'old'])
  t.equal(session.alerts.history.value.length, 1)
  t.equal(session.archive.cursor.value, null)
  t.equal(session.archive.completeSinceMs.value, 0)
})

t.test('a page without a token says so while it tries again', async (t) => {
  const { session, fake } = follow()
  const tell = (state: ClientState, cause: StateCause) => {
    fake.emit('state', { state, cause })
    return session.connection.value.text
  }
  t.equal(tell('connecting', 'start'), 'connecting')
  t.equal(tell('waiting', 'token_failed'), 'session expired, trying again')
  t.equal(tell('connecting', 'retry'), 'session expired, trying again')
  t.equal(tell('waiting', 'unreachable'), 'reconnecting')
  t.equal(tell('connecting', 'retry'), 'connecting')
})

t.test('a page that is read-only offers no commands', async (t) => {
  const { session, fake } = follow(true)
  fake.emit('state', { state: 'open', cause: 'connected' })
  await fake.settle()
  t.match(session.service.value, { canStart: false, canCancel: false })
})

t.test('counts are those of the service, and move with each ending until the next ones come', async (t) => {
  const { session, fake } = follow()
  t.match(session.counts.value, { completed: 0 })
  fake.emit('mission_stats', { snapshotId: 's', active: 9, completed: 400, cancelled: 3, errors: 5, total: 417, avgDurationMs: 1, stalled: 0, lateOutcomes: 0, refused: 0, untracked: 0 })
  fake.update(state('a'))
  fake.update(ended('a'))
  fake.update(ended('b', { status: 'error' }))
  fake.update(ended('c', { status: 'cancelled' }), true)
  session.missions.publish()
  t.match(session.counts.value, { active: 0, completed: 401, cancelled: 3, error: 6 })
  fake.emit('mission_stats', { snapshotId: 's', active: 0, completed: 401, cancelled: 3, errors: 6, total: 410, avgDurationMs: 1, stalled: 0, lateOutcomes: 0, refused: 0, untracked: 0 })
  t.match(session.counts.value, { completed: 401, error: 6 })
  session.announcer.publish()
  t.equal(session.announcer.polite.value, '1 mission failed. 1 mission completed')
})

t.test('a pause holds everything back, and nothing is lost', async (t) => {
  const { session, fake, time } = follow()
  fake.emit('state', { state: 'open', cause: 'connected' })
  await fake.settle()
  session.setPaused(true)
  fake.update(state('a'))
  fake.emit('lost', { missionId: 'x' })
  time.now += 5_000
  session.tick()
  t.equal(session.missions.size, 0)
  t.equal(session.now.value, NOW, 'elapsed times stand still')
  t.equal(session.clock.value, NOW + 5_000)
  session.setPaused(false)
  t.equal(session.missions.size, 1)
  t.equal(session.now.value, NOW + 5_000)
})

t.test('a page that is paused for long keeps only the newest message about each mission, and a bounded number', async (t) => {
  const { session, fake } = follow()
  fake.emit('state', { state: 'open', cause: 'connected' })
  await fake.settle()
  session.setPaused(true)
  for (let at = 0; at < MAX_HELD; at++) fake.update(state(`m${at}`))
  for (let at = 0; at < MAX_HELD; at++) fake.update(ended(`m${at}`))
  t.equal(session.missions.size, 0)
  fake.update(state('late'))
  t.equal(session.isPaused.value, false, 'it resumes when it has to keep too much')
  t.equal(session.missions.get('late')!.mission.value.phase, 'active')
  t.equal(session.missions.counts.value.completed, MAX_ENDED)
})

t.test('a visitor whom the service refuses is told that the session has expired', async (t) => {
  const { session, fake } = follow()
  fake.emit('state', { state: 'open', cause: 'connected' })
  await fake.settle()
  session.expire()
  t.equal(session.connection.value.text, 'session expired')
})

t.test('a lost connection stops the times, and a restart is told', async (t) => {
  const { session, fake, pages, time } = follow()
  fake.emit('state', { state: 'open', cause: 'connected' })
  await fake.settle()
  fake.update(state('a'))
  fake.emit('anomaly_alert', alert('w'))
  fake.emit('state', { state: 'waiting', cause: 'unreachable', retryInMs: 2_000 })
  t.equal(session.connection.value.text, 'reconnecting in 2 s')
  t.equal(session.lastMessageAt, NOW)
  time.now += 3_000
  session.tick()
  t.equal(session.now.value, NOW)
  fake.emit('state', { state: 'open', cause: 'connected' })
  t.equal(session.connection.value.text, 'catching up')
  pages.push({ missions: [view('b')], nextCursor: null })
  fake.emit('gap', { channel: 'anomaly_alert', cause: 'epoch_changed' })
  fake.emit('gap', { channel: 'mission_update', cause: 'epoch_changed' })
  fake.emit('lost', { missionId: 'a' })
  await fake.settle()
  t.equal(session.wasRestarted.value, true)
  t.strictSame(session.alerts.firing.value, [])
  t.strictSame([...session.missions.all()].map(({ id }) => id), ['b'])
  t.equal(session.connection.value.text, 'live')
  fake.emit('version', { protocolVersion: 2 })
  t.equal(session.isNewer.value, true)
})

t.test('a connection that is lost again while the page is loading leaves it as it was', async (t) => {
  const { session, fake } = follow()
  fake.answer = () => { throw Object.assign(new Error(), { code: 'MC_CLIENT_OUTCOME_UNKNOWN' }) }
  fake.emit('state', { state: 'open', cause: 'connected' })
  await fake.settle()
  t.equal(session.service.value, undefined)
  t.equal(session.isLoaded.value, false)
})

t.test('a viewer without the past sees the present', async (t) => {
  const { session, fake } = follow()
  const { answer } = fake
  fake.answer = (request) => {
    if (request.type === 'mission_list' || request.type === 'anomaly_history') throw Object.assign(new Error(), { reason: 'forbidden' })
    return answer(request)
  }
  fake.emit('state', { state: 'open', cause: 'connected' })
  await fake.settle()
  t.equal(session.archive.cursor.value, null)
  t.equal(session.archive.completeSinceMs.value, NOW)
  t.equal(session.connection.value.text, 'live')
})

t.test('older missions, a search and one mission are loaded on demand', async (t) => {
  const { session, fake, pages } = follow()
  const full = (first: number) => ({ missions: [view(`m${first}`, { startedAt: NOW - 40 * MINUTE })], nextCursor: '7' })
  pages.push(full(1))
  fake.emit('state', { state: 'open', cause: 'connected' })
  await fake.settle()
  t.equal(session.archive.cursor.value, '7')
  t.equal(session.archive.completeSinceMs.value, NOW - 40 * MINUTE)
  pages.push({ missions: [view('m2')], nextCursor: null })
  await session.archive.loadOlder()
  t.match(fake.requests.at(-1), { type: 'mission_list', query: { cursor: '7', limit: 200 } })
  const count = fake.requests.length
  await session.archive.loadOlder()
  t.equal(fake.requests.length, count, 'there are no more')
  pages.push({ missions: [view('found')], nextCursor: null })
  await session.archive.search('x'.repeat(200))
  t.equal((fake.requests.at(-1) as unknown as { query: { q: string } }).query.q.length, 128)
  t.ok(session.missions.get('found'))
  t.equal(await session.archive.load('none'), false)
  t.equal(await session.archive.load('found'), true, 'the page knows it, though the service does not any more')
  fake.answer = () => state('one', { snapshot: true } as never)
  t.equal(await session.archive.load('one'), true)
  t.ok(session.missions.get('one'))
})

t.test('percentiles and health are shown as they come', async (t) => {
  const { session, fake, time } = follow()
  const tick = (count: number) => fake.emit('metrics_tick', { p50: 1, p95: 20, p99: 30, count, windowMs: 60_000, tISO: '2026-05-01T12:00:00.000Z' })
  tick(0)
  t.strictSame(session.operations.value, [])
  for (let index = 0; index < 800; index++) {
    time.now++
    tick(5)
  }
  t.equal(session.operations.value.length, 720)
  t.match(session.operations.value.at(-1), { at: NOW + 800, p95: 20, p99: 30 })
  fake.emit('health_delta', { status: 'healthy', health: { status: 'healthy', checkedAt: NOW, components: {} } })
  t.equal(session.health.value?.status, 'healthy')
  fake.emit('anomaly_alert', alert('c', { severity: 'critical', message: 'down' }))
  fake.emit('anomaly_alert', alert('d', { severity: 'critical', message: 'old', snapshot: true }))
  t.equal(session.announcer.assertive.value, 'Critical alert: down')
})
