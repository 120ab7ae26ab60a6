import t from 'tap'
import { TERMINAL_STATUSES, type CancelKind, type MissionUpdate } from '../schemas/index.js'
import type { Mission } from '../lib/missions/index.js'
import { uncaught } from './support/app.js'
import { build, defer, findStreamFaults } from './support/missions.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

t.test('texts that are too long', async (t) => {
  const text = (length: number) => 'x'.repeat(length)

  t.test('are cut visibly and counted, and never refused', async (t) => {
    const { missions, updates, registry } = build()
    const mission = missions.start({
      id: 'long', name: text(1_024), objective: text(5_000), tags: [text(1_000), 'b', '', ...Array(12).fill('c')]
    })
    t.match(mission, { name: `${text(255)}…`, objective: `${text(2_047)}…`, tags: [`${text(127)}…`, 'b', 'c'] })
    t.match(mission.view(), { tagsOmitted: 5 })
    t.match([mission.tags.length, updates[0]!.tagsOmitted], [10, 5])
    mission.waiting(text(300))
    mission.note(text(2_000))
    mission.progress({ taskId: text(1_024), index: 1, total: 2, status: text(100) })
    mission.cancel({ reason: text(300), by: text(300) })
    t.match(mission.view(), { cancel: { reason: `${text(255)}…`, by: `${text(127)}…` }, notes: [{ text: `${text(1_023)}…` }] })
    t.match(mission.view().progress, { taskId: /^x{246}#[0-9a-f]{8}…$/, status: `${text(63)}…` })
    t.strictSame(registry.cuts.read(),
      { name: 1, objective: 1, tags: 2, task_id: 1, task_status: 1, reason: 1, by: 1, waiting: 1, note: 1 })
  })

  t.test('that fit are not changed', async (t) => {
    const { missions, registry } = build()
    const tags = Array(10).fill(text(128))
    const mission = missions.start({ id: text(256), name: text(256), objective: text(2_048), tags })
    t.match(mission, { name: text(256), objective: text(2_048), tags })
    mission.cancelled(text(256))
    t.equal(mission.view().cancel!.reason, text(256))
    t.ok(Object.values(registry.cuts.read()).every((count) => count === 0))
  })

  t.test('an empty name becomes a placeholder', async (t) => {
    const { missions } = build()
    t.equal(missions.start('').name, 'unnamed')
    t.equal(missions.start({ name: '' }).name, 'unnamed')
    missions.report('a', 'planned', { name: '' })
    missions.report('b', 'planned', { name: null })
    t.strictSame([missions.get('a')!.name, missions.get('b')!.name], ['unnamed', 'b'])
  })

  t.test('a loop over long file names runs as it is', async (t) => {
    const { missions } = build()
    const files = [`/srv/${'deep/'.repeat(27)}a.csv`, `/srv/${'deep/'.repeat(27)}b.csv`, `s3://bucket/${'k'.repeat(1_024)}1`, `s3://bucket/${'k'.repeat(1_024)}2`]
    const done = await missions.run('import', async (mission) => {
      mission.tasksGenerated(files)
      for (const [at, file] of files.entries()) {
        mission.progress({ taskId: file, index: at + 1, total: files.length, status: 'started' })
        await mission.task(file, () => {})
      }
      return mission
    })
    t.match(done.view(), { status: 'completed', tasksOmitted: 0 })
    t.strictSame(done.view().tasks.map(({ index, status }) => `${index} ${status}`), ['1 completed', '2 completed', '3 completed', '4 completed'])
    t.equal(done.view().tasks[0]!.taskId, files[0])
  })
})

t.test('parents', async (t) => {
  t.test('are linked by id, at the start, later or by a report, before or after their children', async (t) => {
    const { missions, updates, updatesOf } = build()
    missions.start({ id: 'early', name: 'child', parentId: 'parent' })
    missions.report('reported', 'execution_started', { parentId: 'parent' })
    const parent = missions.start({ id: 'parent', name: 'parent' })
    missions.start({ id: 'late', name: 'child', parentId: 'parent' })
    const set = missions.start({ id: 'set', name: 'child' })
    t.strictSame(set.setParent('parent'), { applied: true })
    t.strictSame(set.setParent('parent'), { applied: false, reason: 'repeated' })
    const named = missions.start({ id: 'named', name: 'child' })
    named.executionStarted()
    t.strictSame(named.report('execution_started', { parentId: 'parent' }), { applied: true })
    t.strictSame(named.report('execution_started', { parentId: 'parent' }), { applied: false, reason: 'repeated' })
    missions.start({ id: 'joined', name: 'child' })
    t.equal(missions.start({ id: 'joined', name: 'child', parentId: 'parent' }), missions.get('joined'))
    const child = parent.child({ id: 'child', name: 'child' })
    t.equal(parent.child({ id: 'child', name: 'child' }), child)
    const ids = ['early', 'reported', 'late', 'set', 'named', 'joined', 'child']
    for (const id of ids) {
      t.equal(missions.get(id)!.parentId, 'parent', id)
      t.equal(updatesOf(id).filter(({ parentId }) => parentId === 'parent').length, 1, `watchers of ${id} learn it once`)
    }
    t.strictSame(missions.list({ parentId: 'parent' }).missions.map(({ id }) => id).sort(), [...ids].sort())
    missions.cancel('parent', { reason: 'enough' })
    for (const id of ids) t.match(missions.get(id)!.view().cancel, { kind: 'parent' }, id)
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('that were asked to end pass it on to children that come later', async (t) => {
    const { missions } = build()
    missions.start({ id: 'parent', name: 'parent' })
    const [set, named] = [missions.start('set'), missions.start('named')]
    missions.cancel('parent')
    missions.report('reported', 'planned', { parentId: 'parent' })
    missions.start({ id: 'started', name: 'child', parentId: 'parent' })
    set.setParent('parent')
    named.report('planning_started', { parentId: 'parent' })
    for (const mission of [set, named, missions.get('reported')!, missions.get('started')!]) {
      t.match(mission.view().cancel, { kind: 'parent' })
    }
    missions.report('ended', 'completed', { parentId: 'parent' })
    t.match(missions.get('ended')!.view(), { status: 'completed', cancel: null })
  })

  t.test('never change, and never form a circle', async (t) => {
    const { missions } = build()
    const code = 'FST_MC_INVALID_PARENT'
    const [a, b] = [missions.start({ id: 'a', name: 'a' }), missions.start({ id: 'b', name: 'b' })]
    const child = a.child({ id: 'c', name: 'c' })
    t.throws(() => b.child({ id: 'c', name: 'c' }), { code, message: /another parent/ })
    t.throws(() => child.setParent('b'), { code })
    t.throws(() => missions.start({ id: 'c', name: 'c', parentId: 'b' }), { code })
    t.throws(() => missions.report('c', 'execution_started', { parentId: 'b' }), { code })
    t.equal(child.status, 'planning_started', 'a refused report changes nothing')
    t.throws(() => a.setParent('a'), { code, message: /ancestor/ })
    t.throws(() => a.setParent('c'), { code, message: /ancestor/ })
    const grandchild = child.child({ id: 'd', name: 'd' })
    t.throws(() => a.setParent(grandchild.id), { code })
    missions.start({ id: 'x', name: 'x', parentId: 'y' })
    t.throws(() => missions.start({ id: 'y', name: 'y', parentId: 'x' }), { code })
    t.throws(() => missions.report('y', 'planned', { parentId: 'x' }), { code })
    t.equal(missions.get('y'), undefined, 'nothing of it is left behind')
    t.throws(() => missions.start({ id: 'z', name: 'z', parentId: 'z' }), { code })
    for (const id of ['', 5, null] as never[]) t.throws(() => b.setParent(id), { code: 'FST_MC_INVALID_MISSION' })
    t.strictSame([a.parentId, b.parentId, child.parentId], [null, null, 'a'])
    a.complete()
    t.strictSame(a.setParent('b'), { applied: false, reason: 'terminal' })
  })

  t.test('never form a circle over a mission that is no longer kept, or through a listener', async (t) => {
    const { missions, failures } = build({ maxEnded: 0 })
    const code = 'FST_MC_INVALID_PARENT'
    const forgotten = missions.start({ id: 'a', name: 'a', parentId: 'b' })
    forgotten.complete()
    const b = missions.start({ id: 'b', name: 'b', parentId: 'a' })
    t.throws(() => forgotten.retry(), { code, message: /ancestor/ })
    t.equal(missions.get('a'), undefined)
    t.equal(b.child('c').parentId, 'b')
    const parent = missions.start({ id: 'parent', name: 'parent' })
    missions.start({ id: 'child', name: 'child' }).onEnd(() => { parent.setParent('child') })
    t.throws(() => missions.start({ id: 'child', name: 'child', attempt: 2, parentId: 'parent' }), { code, message: /ancestor/ })
    t.equal(parent.child('other').parentId, 'parent')
    t.strictSame(failures, [])
  })

  t.test('and times that a serializer reports meanwhile count', async (t) => {
    const { missions, clock, updates, registry } = build()
    const mission = missions.start({ id: 'a', name: 'a', startedAt: clock.now() - 10 })
    const during = (report: () => unknown) => ({ toJSON: () => { report(); return {} } }) as never
    const parents = during(() => mission.setParent('first'))
    t.throws(() => mission.report('planned', { parentId: 'second', metadata: parents }), { code: 'FST_MC_INVALID_PARENT' })
    t.match(mission, { parentId: 'first', status: 'planning_started' })
    const times = during(() => mission.report('planned', { startedAt: clock.now() - 1 }))
    t.throws(() => mission.report('completed', { endedAt: clock.now() - 5, metadata: times }), { code: 'FST_MC_INVALID_TIME' })
    t.match([mission.status, mission.isTerminal, registry.totals.active], ['planned', false, 1])
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('pass a cancel on through a chain that is deeper than the stack, each child before its signal aborts', async (t) => {
    const { missions } = build({ maxActive: 20_000 }, { isQuiet: true })
    const chain = [missions.start({ id: '0', name: 'job' })]
    for (let at = 1; at < 20_000; at++) chain.push(missions.start({ id: String(at), name: 'job' }))
    // From the end, so that each search for a circle is short.
    for (let at = 19_999; at > 0; at--) chain[at]!.setParent(String(at - 1))
    const aborted: number[] = []
    for (const at of [0, 1, 19_999]) chain[at]!.signal.addEventListener('abort', () => aborted.push(at))
    t.equal(chain[0]!.cancel(), 'requested')
    t.equal(chain.filter((mission) => mission.view().cancel?.kind === 'parent').length, 19_999)
    t.strictSame(aborted, [19_999, 1, 0])
  })

  t.test('reach the children of a mission that runs without being tracked', async (t) => {
    const { missions } = build({ maxActive: 2 })
    const [first, second] = [missions.start('first'), missions.start('second')]
    const gate = defer()
    const untracked = missions.spawn('job', async ({ signal }) => { await gate.promise; signal.throwIfAborted() })
    first.complete()
    second.complete()
    const child = untracked.child('part')
    t.equal(child.parentId, untracked.id)
    untracked.cancel()
    t.match(child.view().cancel, { kind: 'parent' })
    gate.resolve()
    t.match(await untracked.done, { status: 'cancelled' })
  })
})

t.test('times of the host', async (t) => {
  t.test('give the start and the duration, as dates or numbers', async (t) => {
    const { missions, clock, updatesOf } = build()
    const now = clock.now()
    const mission = missions.start({ id: 'a', name: 'a', queuedAt: new Date(now - HOUR), startedAt: now - 10 * MINUTE })
    t.match(mission, { queuedAt: now - HOUR, startedAt: now - 10 * MINUTE })
    mission.report('completed', { endedAt: new Date(now - MINUTE) })
    t.match(mission.view(), { queuedAt: now - HOUR, startedAt: now - 10 * MINUTE, endedAt: now - MINUTE, durationMs: 9 * MINUTE })
    t.match(mission.outcome, { durationMs: 9 * MINUTE })
    t.match(updatesOf('a'), [{ queuedAt: now - HOUR, startedAt: now - 10 * MINUTE }, { endedAt: now - MINUTE, durationMs: 9 * MINUTE }])
    const open = missions.start({ id: 'b', name: 'b', startedAt: now - MINUTE })
    clock.advance(2 * MINUTE)
    open.complete()
    t.match(open.view(), { endedAt: now + 2 * MINUTE, durationMs: 3 * MINUTE })
    t.equal(missions.stats().avgDurationMs, 6 * MINUTE)
    const late = missions.start('late')
    clock.advance(10_000)
    late.report('completed', { endedAt: clock.now() - 4_000 })
    t.equal(late.outcome!.durationMs, 6_000, 'from the registration')
    t.match(missions.list({ until: now - 5 * MINUTE }).missions, [{ id: 'a' }])
  })

  t.test('may come with later reports', async (t) => {
    const { missions, clock, updatesOf, updates } = build()
    missions.report('job', 'planning_started', { queuedAt: clock.now(), waiting: 'queued' })
    clock.advance(5_000)
    t.match(missions.get('job')!.view(), { waiting: 'queued', queuedAt: clock.now() - 5_000 })
    t.strictSame(missions.report('job', 'execution_started', { startedAt: clock.now() - 1_000 }), { applied: true })
    t.strictSame(missions.report('job', 'execution_started', { startedAt: clock.now() - 1_000 }), { applied: false, reason: 'repeated' })
    t.strictSame(missions.report('job', 'execution_started', { startedAt: clock.now() - 2_000 }), { applied: true }, 'a new time is news')
    t.strictSame(missions.report('job', 'execution_started', { queuedAt: clock.now() - 6_000 }), { applied: true })
    missions.report('job', 'completed')
    t.match(updatesOf('job').map(({ queuedAt, startedAt }) => [queuedAt, startedAt]), [
      [clock.now() - 5_000, clock.now() - 5_000], [clock.now() - 5_000, clock.now() - 1_000],
      [clock.now() - 5_000, clock.now() - 2_000], [clock.now() - 6_000, clock.now() - 2_000], [undefined, undefined]
    ])
    t.match(missions.get('job')!.outcome, { durationMs: 2_000 })
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('of a mission that is first heard of at its end', async (t) => {
    const { missions, clock } = build()
    const now = clock.now()
    missions.report('whole', 'completed', { startedAt: now - HOUR, endedAt: now - MINUTE })
    t.match(missions.get('whole')!.view(), { startedAt: now - HOUR, endedAt: now - MINUTE, durationMs: 59 * MINUTE })
    missions.report('end', 'error', { endedAt: now - MINUTE })
    t.match(missions.get('end')!.view(), { startedAt: now - MINUTE, endedAt: now - MINUTE, durationMs: 0 })
    missions.report('queued', 'cancelled', { queuedAt: now - HOUR, endedAt: now - MINUTE, kind: 'skipped' })
    t.match(missions.get('queued')!.view(), { queuedAt: now - HOUR, startedAt: now - MINUTE, durationMs: 0 })
  })

  t.test('a start that nobody has reported is not after the end, whose report may be the second to arrive', async (t) => {
    const { missions, clock, updatesOf } = build()
    missions.report('late', 'execution_started')
    t.strictSame(missions.report('late', 'completed', { endedAt: clock.now() - MINUTE }), { applied: true })
    const times = { startedAt: clock.now() - MINUTE, endedAt: clock.now() - MINUTE, durationMs: 0 }
    t.match(missions.get('late')!.view(), times)
    t.match(updatesOf('late').at(-1), times)
  })

  t.test('a start that nobody has reported is not before the queue', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start('job')
    clock.advance(1_000)
    mission.report('planned', { queuedAt: clock.now() })
    t.match(mission, { queuedAt: clock.now(), startedAt: clock.now() })
  })

  t.test('are refused with a code if they are no times, in the future or reversed', async (t) => {
    const { missions, clock, updates } = build()
    const now = clock.now()
    const code = 'FST_MC_INVALID_TIME'
    const wrong = [NaN, Infinity, -1, '2026-01-01', {}, [], true, new Date(NaN), new Date(-1)]
    for (const time of wrong as never[]) {
      t.throws(() => missions.start({ name: 'job', startedAt: time }), { code }, String(time))
      t.throws(() => missions.report('job', 'planned', { queuedAt: time }), { code })
      t.throws(() => missions.report('job', 'completed', { endedAt: time }), { code })
    }
    const future = new Date(now + 1_001)
    t.throws(() => missions.start({ name: 'job', startedAt: future }), { code, message: /future/ })
    t.throws(() => missions.report('job', 'completed', { endedAt: future }), { code, message: /future/ })
    t.throws(() => missions.start({ name: 'job', queuedAt: now, startedAt: now - 1 }), { code, message: /startedAt is before queuedAt/ })
    t.throws(() => missions.report('job', 'completed', { startedAt: now, endedAt: now - 1 }), { code, message: /endedAt is before startedAt/ })
    t.equal(missions.get('job'), undefined, 'nothing of it is left behind')
    t.equal(updates.length, 0)
    const mission = missions.start({ id: 'known', name: 'job', queuedAt: now - 10 })
    t.throws(() => mission.report('completed', { endedAt: now - 11 }), { code, message: /startedAt is before queuedAt/ })
    t.throws(() => missions.start({ name: 'job', startedAt: now }).report('completed', { endedAt: now - 1 }), { code, message: /endedAt is before startedAt/ })
    t.throws(() => mission.report('planned', { startedAt: now - 11 }), { code, message: /startedAt is before queuedAt/ })
    t.match(mission.view(), { status: 'planning_started', seq: 1 })
    const early = { queuedAt: now - 1, startedAt: now - 2 }
    mission.report('execution_started', { startedAt: now - 5 })
    t.strictSame(mission.report('planned', early), { applied: false, reason: 'backward' }, 'a late report is not judged by its times')
    t.strictSame(mission.report('planned', { parentId: 'known' }), { applied: false, reason: 'backward' }, 'nor by its parent')
    mission.report('execution_started', { endedAt: now - 1 })
    t.equal(mission.view().endedAt, null, 'the end belongs to an ending')
    for (const none of [null, undefined]) mission.report('execution_started', { startedAt: none, queuedAt: none })
    mission.complete()
    t.strictSame(mission.report('completed', { startedAt: now, endedAt: now - 5 }), { applied: false, reason: 'repeated' })
  })

  t.test('that come too late are kept where they are missing', async (t) => {
    const { missions, clock, updatesOf } = build()
    const now = clock.now()
    const backward = { applied: false, reason: 'backward' }
    missions.report('a', 'execution_progress')
    t.strictSame(missions.report('a', 'execution_started', { startedAt: now - 5_000 }), backward)
    t.strictSame(missions.report('a', 'planning_started', { queuedAt: now - 9_000, startedAt: now - 1_000 }), backward)
    t.match(missions.get('a'), { queuedAt: now - 9_000, startedAt: now - 5_000, status: 'execution_progress' })
    t.strictSame(missions.report('a', 'planning_started', { queuedAt: now - 8_000 }), backward)
    t.strictSame(missions.report('a', 'planning_started'), backward)
    missions.report('a', 'completed')
    t.match(updatesOf('a').map(({ queuedAt, startedAt }) => [queuedAt, startedAt]),
      [[undefined, now], [undefined, now - 5_000], [now - 9_000, now - 5_000], [undefined, undefined]])
    t.equal(missions.get('a')!.outcome!.durationMs, 5_000)
    missions.report('b', 'execution_started', { startedAt: now - 5_000 })
    t.strictSame(missions.report('b', 'planned', { queuedAt: now - 1_000 }), backward)
    t.equal(missions.get('b')!.queuedAt, null, 'a time that contradicts another is not kept')
  })

  t.test('a clock that is a little ahead counts as now', async (t) => {
    const { missions, clock } = build()
    t.equal(missions.start({ name: 'job', startedAt: clock.now() + 1_000 }).startedAt, clock.now())
    t.equal(missions.start({ name: 'job', startedAt: clock.now() - 0.5 }).startedAt, clock.now() - 1, 'whole ms')
  })

  t.test('do not depend on jumps of the wall clock where the host has reported none', async (t) => {
    const { missions, clock } = build()
    const [own, reported] = [missions.start('own'), missions.start({ name: 'reported', startedAt: clock.now() })]
    clock.advance(1_000)
    clock.stepWallClock(-HOUR)
    own.complete()
    reported.complete()
    t.strictSame([own.outcome!.durationMs, reported.outcome!.durationMs], [1_000, 0])
  })
})

t.test('attempts', async (t) => {
  t.test('of one mission end once each, and their history is kept', async (t) => {
    const { missions, clock, updates } = build()
    const first = missions.start({ id: 'run', name: 'build', objective: 'all', tags: ['ci'], tenant: 'acme', metadata: { sha: 'abc' }, parentId: 'suite' })
    clock.advance(1_000)
    first.fail(Object.assign(new Error('red'), { code: 'red' }))
    const second = first.retry()
    t.not(second, first)
    t.equal(missions.get('run'), second)
    t.match(second, {
      id: 'run',
      name: 'build',
      objective: 'all',
      tags: ['ci'],
      tenant: 'acme',
      metadata: { sha: 'abc' },
      parentId: 'suite',
      attempt: 2,
      status: 'planning_started',
      outcome: undefined
    })
    t.match(first, { attempt: 1, isTerminal: true, outcome: { attempt: 1, status: 'error' } }, 'a handle belongs to one attempt')
    t.strictSame(first.report('completed'), { applied: false, reason: 'terminal' })
    clock.advance(3_000)
    second.complete()
    t.match(second.view(), {
      attempt: 2,
      status: 'completed',
      error: null,
      attemptsOmitted: 0,
      attempts: [{ attempt: 1, status: 'error', durationMs: 1_000, error: { code: 'red', message: 'red' }, cancel: null }]
    })
    t.match(updates.map(({ status, attempt, seq }) => [status, attempt, seq]), [
      ['planning_started', undefined, 1], ['error', undefined, 2], ['planning_started', 2, 3], ['completed', 2, 4]
    ])
    t.match(updates[2], { objective: 'all', startedAt: clock.now() - 3_000, parentId: 'suite' }, 'its first update has everything again')
    t.match(missions.stats(), { active: 0, completed: 1, errors: 1, total: 2, avgDurationMs: 2_000 })
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('are asked for by number or as the next one, by start, run, report and waiting', async (t) => {
    const { missions } = build()
    const end = (): void => { missions.report('a', 'completed') }
    const attempt = () => missions.get('a')!.attempt
    missions.start({ id: 'a', name: 'job', attempt: 'next' })
    t.equal(attempt(), 1, 'without an earlier one it is the first')
    end()
    missions.start({ id: 'a', name: 'job', attempt: 'next' })
    t.equal(attempt(), 2)
    t.equal(missions.start({ id: 'a', name: 'job', attempt: 'next' }), missions.get('a'), 'an active one is joined')
    end()
    await missions.run({ id: 'a', name: 'job', attempt: 5 }, () => {})
    t.equal(attempt(), 5, 'numbers may be skipped')
    missions.report('a', 'execution_started', { attempt: 6 })
    t.match([attempt(), missions.get('a')!.name], [6, 'job'])
    end()
    t.strictSame(missions.waiting('a', 'queued', { attempt: 7 }), { applied: true })
    t.match(missions.get('a')!.view(), { attempt: 7, status: 'planning_started', waiting: 'queued' })
    end()
    t.strictSame(missions.waiting('a', 'queued', { attempt: 'next' }), { applied: true })
    t.equal(attempt(), 8)
    end()
    t.strictSame(missions.report('a', 'planned', { attempt: 'next' }), { applied: true })
    t.strictSame(missions.get('a')!.view().attempts.map((one) => one.attempt), [1, 2, 5, 6, 7, 8])
    missions.report('new', 'planned', { attempt: 3 })
    t.match(missions.get('new')!.view(), { attempt: 3, attempts: [] })
  })

  t.test('an ended id stays ended without asking', async (t) => {
    const { missions } = build()
    missions.report('a', 'completed', { attempt: 2 })
    const code = 'FST_MC_MISSION_ENDED'
    for (const init of [{}, { attempt: 2 }, { attempt: 1 }]) t.throws(() => missions.start({ id: 'a', name: 'job', ...init }), { code })
    t.strictSame(missions.report('a', 'planned'), { applied: false, reason: 'terminal' })
    t.strictSame(missions.report('a', 'planned', { attempt: 2 }), { applied: false, reason: 'terminal' })
    t.strictSame(missions.report('a', 'completed', { attempt: 2 }), { applied: false, reason: 'repeated' })
    t.strictSame(missions.report('a', 'error', { attempt: 1 }), { applied: false, reason: 'stale' })
    t.strictSame(missions.waiting('a', 'queued'), { applied: false, reason: 'terminal' })
    t.match(missions.stats(), { total: 1, lateOutcomes: 0 })
    for (const attempt of [0, -1, 1.5, NaN, '2', {}] as never[]) {
      t.throws(() => missions.report('a', 'planned', { attempt }), { code: 'FST_MC_INVALID_MISSION' })
    }
  })

  t.test('a newer one ends an active one as superseded', async (t) => {
    const { missions, updates } = build()
    const gate = defer()
    const first = missions.spawn({ id: 'a', name: 'job' }, async () => { await gate.promise })
    const aborted: unknown[] = []
    first.signal.addEventListener('abort', () => aborted.push(first.signal.reason))
    missions.report('a', 'execution_started', { attempt: 2 })
    t.match(first.outcome, { attempt: 1, status: 'cancelled', cancel: { kind: 'superseded' } })
    t.match(aborted, [{ code: 'FST_MC_CANCELLED', cancel: { kind: 'superseded' } }], 'its function learns it')
    gate.resolve()
    t.equal(await first.done, first.outcome)
    await new Promise((resolve) => setImmediate(resolve))
    t.match(missions.get('a')!.view(), { attempt: 2, status: 'execution_started', attempts: [{ status: 'cancelled' }] })
    t.match(missions.stats(), { active: 1, cancelled: 1, total: 2, lateOutcomes: 1 })
    missions.start({ id: 'b', name: 'job' })
    missions.cancel('b', { reason: 'enough' })
    missions.start({ id: 'b', name: 'job', attempt: 2 })
    t.match(missions.get('b')!.view().attempts, [{ status: 'cancelled', cancel: { kind: 'request', reason: 'enough' } }])
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('a newer one does not need more room than there is', async (t) => {
    const { missions } = build({ maxActive: 1 })
    missions.start({ id: 'a', name: 'job' })
    t.equal(missions.start({ id: 'a', name: 'job', attempt: 2 }).attempt, 2)
    missions.report('a', 'completed')
    missions.start('other')
    t.throws(() => missions.get('a')!.retry(), { code: 'FST_MC_TOO_MANY_MISSIONS' })
    t.equal(missions.get('a')!.attempt, 2)
  })

  t.test('an active mission is not retried, and a listener may have started the next one', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    t.throws(() => mission.retry(), { code: 'FST_MC_MISSION_LIVE' })
    mission.complete()
    const second = mission.retry()
    t.throws(() => mission.retry(), { code: 'FST_MC_MISSION_LIVE' })
    second.complete()
    t.equal(mission.retry().attempt, 3, 'an older handle continues after the newest')
    let isNested = false
    missions.on('mission_update', ({ missionId, status }) => {
      if (missionId !== 'b' || status !== 'cancelled' || isNested) return
      isNested = true
      missions.start({ id: 'b', name: 'nested', attempt: 2 })
    })
    missions.start({ id: 'b', name: 'job' })
    t.match(missions.start({ id: 'b', name: 'job', attempt: 2 }), { name: 'nested', attempt: 2 })
    t.match(missions.stats(), { active: 2, total: 5 })
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('waitFor answers for the last attempt, and for an ended one as before', async (t) => {
    const { missions } = build()
    const first = missions.start({ id: 'a', name: 'job' })
    const waiting = missions.waitFor('a')
    first.fail('red')
    const second = first.retry()
    t.equal(await waiting, first.outcome)
    t.strictSame({ ...await missions.waitFor('a', { attempt: 1 }) }, { ...first.outcome })
    const last = missions.waitFor('a', { attempt: 2 })
    second.complete()
    t.strictSame([await last, await missions.waitFor('a')], [second.outcome, second.outcome])
    for (const attempt of [0, 3]) await t.rejects(missions.waitFor('a', { attempt }), { code: 'FST_MC_MISSION_NOT_FOUND' })
  })

  t.test('more than ten earlier ones are counted', async (t) => {
    const { missions } = build()
    let mission = missions.start({ id: 'a', name: 'job' })
    for (let at = 0; at < 13; at++) {
      mission.complete()
      mission = mission.retry()
    }
    const { attempts, attemptsOmitted, attempt } = mission.view()
    t.strictSame([attempt, attemptsOmitted, attempts.map((one) => one.attempt)], [14, 3, [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]])
  })

  t.test('that are forgotten are counted, and an old handle continues after the newest', async (t) => {
    const { missions, updatesOf } = build({ maxEnded: 0 })
    const first = missions.start({ id: 'a', name: 'job' })
    first.complete()
    first.retry().complete()
    first.retry().fail('broken')
    const fourth = first.retry()
    t.match(fourth.view(), { attempt: 4, attempts: [{ attempt: 1 }], attemptsOmitted: 2 })
    fourth.complete()
    missions.report('a', 'planned', { attempt: 'next' })
    t.match(missions.get('a')!.view(), { attempt: 5, attempts: [], attemptsOmitted: 4 })
    t.strictSame(findStreamFaults(updatesOf('a')), [])
  })

  t.test('do not take the places of other missions that are kept', async (t) => {
    const { missions, clock } = build({ maxEnded: 3, endedRetentionMs: 1_000 })
    for (const status of ['completed', 'error'] as const) {
      missions.report(status, status)
      let mission = missions.start({ id: `retried ${status}`, name: 'job' })
      for (let at = 0; at < 10; at++) {
        mission.report(status)
        mission = mission.retry()
      }
      t.ok(missions.get(status))
    }
    clock.advance(1_000)
    t.equal(missions.get('completed'), undefined, 'the time counts for those that are left')
  })

  t.test('that a listener starts at the ending of the one before are kept as long as others', async (t) => {
    const { missions } = build({ maxEnded: 1 })
    const stop = missions.on('mission_update', ({ missionId, status }) => {
      if (missionId === 'a' && status === 'completed') missions.get('a')!.retry()
    })
    missions.report('a', 'completed')
    stop()
    t.match(missions.get('a'), { attempt: 2, isTerminal: false })
    for (const id of ['b', 'c']) missions.report(id, 'completed')
    t.match(missions.get('a'), { attempt: 2, isTerminal: false })
  })

  t.test('that are asked for by number begin, even if a listener starts another one before', async (t) => {
    const { missions, updates } = build()
    missions.start({ id: 'a', name: 'job' }).onEnd(() => missions.start({ id: 'a', name: 'job', attempt: 'next' }))
    t.equal(missions.start({ id: 'a', name: 'job', attempt: 5 }).attempt, 5)
    t.match(missions.get('a')!.view().attempts, [{ attempt: 1 }, { attempt: 2, cancel: { kind: 'superseded' } }])
    t.match(missions.stats(), { active: 1, cancelled: 2, total: 3 })
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('have numbers that stay exact', async (t) => {
    const { missions } = build()
    for (const attempt of [0, 1.5, 2 ** 52 + 1, Infinity, NaN]) {
      t.throws(() => missions.start({ name: 'job', attempt }), { code: 'FST_MC_INVALID_MISSION' })
      t.throws(() => missions.report('a', 'planned', { attempt }), { code: 'FST_MC_INVALID_MISSION' })
    }
    missions.report('a', 'completed', { attempt: 2 ** 52 })
    const next = missions.get('a')!.retry()
    next.complete()
    t.equal(next.retry().attempt, 2 ** 52 + 2)
  })

  t.test('have the metadata in their first update, like every mission', async (t) => {
    const { missions, updatesOf } = build()
    const mission = missions.start({ id: 'a', name: 'job', metadata: { rows: 3 } })
    mission.executionStarted()
    mission.complete()
    mission.retry()
    t.strictSame(updatesOf('a').map(({ metadata }) => metadata), [{ rows: 3 }, undefined, undefined, { rows: 3 }])
  })

  t.test('an older attempt that is forgotten takes nothing from the newest', async (t) => {
    const { missions, clock } = build({ endedRetentionMs: 1_000 })
    const first = missions.start({ id: 'a', name: 'job' })
    first.complete()
    const second = first.retry()
    clock.advance(2_000)
    t.equal(missions.get('a'), second)
    second.complete()
    clock.advance(2_000)
    t.equal(missions.get('a'), undefined)
    t.strictSame(missions.report('a', 'planned', { attempt: 2 }), { applied: false, reason: 'terminal' })
    t.equal(second.retry().attempt, 3)
  })
})

t.test('senders that deliver at least once, late or in disorder', async (t) => {
  t.test('a repeated ending is repeated, another one is late', async (t) => {
    const { missions, updates } = build()
    for (const status of TERMINAL_STATUSES) {
      missions.report(status, status)
      t.strictSame(missions.report(status, status), { applied: false, reason: 'repeated' })
      t.equal(missions.get(status)!.view().lateOutcome, null)
    }
    t.equal(missions.stats().lateOutcomes, 0)
    t.strictSame(missions.report('completed', 'error'), { applied: false, reason: 'terminal' })
    t.match([missions.stats().lateOutcomes, missions.get('completed')!.view().lateOutcome], [1, 'error'])
    t.equal(updates.length, 3)
  })

  t.test('a step of a mission that is no longer kept registers nothing', async (t) => {
    const { missions, clock, updates } = build({ maxEnded: 0 })
    missions.report('a', 'completed')
    const before = updates.length
    t.equal(missions.get('a'), undefined)
    t.strictSame(missions.report('a', 'execution_started'), { applied: false, reason: 'terminal' })
    t.strictSame(missions.report('a', 'completed'), { applied: false, reason: 'repeated' })
    t.strictSame(missions.report('a', 'error'), { applied: false, reason: 'terminal' })
    t.strictSame(missions.report('a', 'error', { attempt: 1 }), { applied: false, reason: 'terminal' })
    t.strictSame(missions.waiting('a', 'queued'), { applied: false, reason: 'terminal' })
    t.strictSame(missions.note('a', 'late'), { applied: false, reason: 'unknown' })
    t.match(missions.stats(), { active: 0, total: 1, lateOutcomes: 2 })
    t.equal(updates.length, before)
    t.strictSame(missions.report('a', 'planned', { attempt: 2 }), { applied: true })
    t.match(missions.get('a')!.view(), { attempt: 2, attempts: [] })
    missions.report('a', 'completed')
    t.strictSame(missions.report('a', 'planned', { attempt: 1 }), { applied: false, reason: 'stale' })
    clock.advance(24 * HOUR + 1)
    t.strictSame(missions.report('a', 'planned'), { applied: true }, 'a day later nobody knows it any more')
    t.equal(missions.get('a')!.attempt, 1)
  })

  t.test('the ids that are remembered are bounded', async (t) => {
    const { missions } = build({ maxEnded: 0 })
    for (let at = 0; at < 10_001; at++) missions.report(`m${at}`, 'completed')
    t.strictSame(missions.report('m1', 'planned'), { applied: false, reason: 'terminal' })
    t.strictSame(missions.report('m0', 'planned'), { applied: true })
    missions.report('m1', 'completed', { attempt: 2 })
    missions.report('more', 'completed')
    t.strictSame(missions.report('m1', 'planned'), { applied: false, reason: 'terminal' }, 'the older of two has gone')
  })

  t.test('a report reads the details of any object, each getter once', async (t) => {
    const { missions } = build()
    const read: string[] = []
    class Row {
      get name () { read.push('name'); return 'named' }
      get tags () { return ['nightly'] }
      get metadata () { read.push('metadata'); return { rows: 3 } }
      get planningSession () { throw new Error('unreadable') }
    }
    t.strictSame(missions.report('a', 'planned', new Row()), { applied: true })
    t.match(missions.get('a')!.view(), { name: 'named', tags: ['nightly'], metadata: { rows: 3 } })
    t.strictSame(read.filter((name) => name === 'name').length, 1)
    t.strictSame(missions.report('b', 'planned', null as never), { applied: true })
    const unreadable = { get tags (): never { throw new Error('unreadable') } }
    t.throws(() => missions.report('c', 'planned', unreadable), { code: 'FST_MC_INVALID_MISSION' })
  })

  t.test('a report that starts a mission says what it is', async (t) => {
    const { missions, updatesOf } = build()
    const details = { name: 'build', objective: 'all', tags: ['ci'], tenant: 'acme', timeoutMs: 5_000, metadata: { sha: 'abc' } }
    t.strictSame(missions.report('a', 'execution_started', details), { applied: true })
    t.match(missions.get('a'), { name: 'build', objective: 'all', tags: ['ci'], tenant: 'acme', metadata: { sha: 'abc' } })
    t.match(updatesOf('a'), [{ status: 'execution_started', name: 'build', metadata: { sha: 'abc' } }])
    t.strictSame(missions.report('a', 'execution_started', { name: 'other' }), { applied: false, reason: 'repeated' })
    t.equal(missions.get('a')!.name, 'build')
    for (const wrong of [{ name: 5 }, { tags: 'a' }, { tenant: '' }, { timeoutMs: 0 }, { objective: {} }] as never[]) {
      t.throws(() => missions.report('wrong', 'planned', wrong), { code: 'FST_MC_INVALID_MISSION' })
    }
    for (const wrong of [{ metadata: 'x' }, { metadata: [] }, { waiting: 5 }, { parentId: 5 }] as never[]) {
      t.throws(() => missions.report('wrong', 'planned', wrong), { code: 'FST_MC_INVALID_MISSION' })
    }
    for (const wrong of [{ reason: 5 }, { by: {} }, { kind: 'other' }, { kind: 'shutdown' }] as never[]) {
      t.throws(() => missions.report('wrong', 'cancelled', wrong), { code: 'FST_MC_INVALID_MISSION' })
    }
    const nothing = Object.fromEntries(['name', 'tags', 'tenant', 'metadata', 'waiting', 'parentId', 'attempt', 'progress', 'queuedAt'].map((name) => [name, null]))
    t.strictSame(missions.report('nothing', 'planned', nothing), { applied: true }, 'null counts as absent')
    missions.report('fine', 'completed', { error: null })
    missions.report('failed', 'error', { error: null })
    t.match([missions.get('fine')!.outcome!.error, missions.get('failed')!.outcome!.error], [null, { code: 'error', message: 'unknown error' }])
    t.equal(missions.get('wrong'), undefined)
    const throwing = { get name (): string { throw new Error('canary') } }
    t.throws(() => missions.report('wrong', 'planned', throwing), { code: 'FST_MC_INVALID_MISSION', message: /^(?!.*canary)/ })
  })

  t.test('metadata beside a repeated status is emitted', async (t) => {
    const { missions, updatesOf } = build()
    missions.report('a', 'execution_started', { metadata: { a: 1 } })
    t.strictSame(missions.report('a', 'execution_started', { metadata: { b: 2 } }), { applied: true })
    t.match(updatesOf('a').at(-1), { metadata: { a: 1, b: 2 } })
    missions.report('a', 'completed', { metadata: { c: 3 } })
    t.match(updatesOf('a').at(-1), { status: 'completed', metadata: { a: 1, b: 2, c: 3 } })
  })
})

t.test('waiting by id', async (t) => {
  const { missions, clock, updatesOf } = build({ stallMs: 1_000 })
  t.strictSame(missions.waiting('a', 'queued', { name: 'job', queuedAt: clock.now() }), { applied: true })
  clock.advance(5_000)
  t.match(missions.get('a')!.view(), { name: 'job', waiting: 'queued', stalled: false, queuedAt: clock.now() - 5_000 })
  t.match(updatesOf('a'), [{ status: 'planning_started', waiting: 'queued' }])
  missions.report('a', 'execution_started')
  t.equal(missions.get('a')!.view().waiting, null)
  t.strictSame(missions.waiting('a', 'for approval'), { applied: true })
  t.match(missions.get('a')!.view(), { status: 'execution_started', waiting: 'for approval' })
  t.strictSame(missions.waiting('a', 'for approval', { attempt: 1 }), { applied: false, reason: 'repeated' })
  t.equal(updatesOf('a').length, 3, 'nothing is sent again')
  clock.advance(5_000)
  t.match(missions.get('a')!.view(), { waiting: 'for approval', stalled: false })
  t.strictSame(missions.waiting('a', 'for a machine'), { applied: true })
  t.throws(() => missions.waiting('a', 5 as never), { code: 'FST_MC_INVALID_MISSION' })
  missions.report('a', 'completed', { waiting: 'never' })
  t.equal(missions.get('a')!.view().waiting, null)
  t.strictSame(missions.waiting('a', 'late'), { applied: false, reason: 'terminal' })
})

t.test('kinds of cancel', async (t) => {
  t.test('are kept from a report, and told apart in views, outcomes and counts', async (t) => {
    const { missions, updatesOf, registry } = build()
    const kinds: CancelKind[] = ['skipped', 'superseded', 'timeout', 'request']
    for (const kind of kinds) {
      const cancel = { kind, reason: `because ${kind}`, by: 'ann' }
      missions.report(kind, 'cancelled', cancel as never)
      t.match(missions.get(kind)!.view().cancel, cancel)
      t.match(missions.get(kind)!.outcome!.cancel, cancel)
      t.match(updatesOf(kind).at(-1)!.cancel, { requested: true, ...cancel })
    }
    missions.report('plain', 'cancelled')
    missions.report('reason', 'cancelled', { reason: 'enough' })
    t.match(missions.get('plain')!.view().cancel, null)
    t.match(missions.get('reason')!.view().cancel, { kind: 'request', reason: 'enough', by: null })
    missions.start({ id: 'asked', name: 'job' })
    t.equal(missions.cancel('asked', { kind: 'superseded', reason: 'newer commit' }), 'requested')
    missions.report('asked', 'cancelled', { kind: 'skipped' })
    t.match(missions.get('asked')!.view().cancel, { kind: 'superseded', reason: 'newer commit' }, 'the first request stays')
    missions.report('other', 'completed', { reason: 'ignored', kind: 'skipped' })
    t.equal(missions.get('other')!.view().cancel, null, 'only with cancelled')
    t.match(registry.totals.readLabelled().cancelled, { skipped: 1, superseded: 2, timeout: 1, request: 3, client: 0 })
    t.throws(() => missions.cancel('other2', { kind: 'client' as never }) === 'not_found' && missions.start('x').cancel({ kind: 'client' as never }), { code: 'FST_MC_INVALID_MISSION' })
  })

  t.test('a function that returns although it was asked to end has completed, and the request is shown', async (t) => {
    const { missions, updatesOf } = build()
    const mission = missions.spawn({ id: 'a', name: 'job' }, async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    mission.cancel({ reason: 'enough', by: 'ann' })
    const cancel = { requested: true, kind: 'request', reason: 'enough', by: 'ann' }
    t.match(await mission.done, { status: 'completed', cancel })
    t.match(mission.view(), { status: 'completed', cancel })
    t.match(updatesOf('a').at(-1), { status: 'completed', cancel })
  })
})

t.test('notes', async (t) => {
  t.test('are all emitted, and the newest are kept', async (t) => {
    const { missions, updatesOf, clock, updates } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    for (let at = 1; at <= 25; at++) t.strictSame(mission.note(`note ${at}`, { at }), { applied: true })
    t.strictSame(missions.note('a', 'by id'), { applied: true })
    const noted = updatesOf('a').flatMap(({ note }) => note ?? [])
    t.equal(noted.length, 26)
    t.strictSame(noted[0], { text: 'note 1', data: { at: 1 }, at: clock.now() })
    t.strictSame(noted.at(-1), { text: 'by id', at: clock.now() })
    t.strictSame(mission.view().notes, noted.slice(-20))
    t.equal(mission.view().notesOmitted, 6)
    mission.view().notes[0]!.text = 'changed'
    t.equal(mission.view().notes[0]!.text, 'note 7', 'a view is a copy')
    mission.complete()
    t.strictSame(mission.note('late'), { applied: false, reason: 'terminal' })
    t.strictSame(missions.note('unknown', 'text'), { applied: false, reason: 'unknown' })
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('that are kept take at most 16 KiB, so that a snapshot fits into one message', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    for (let at = 0; at < 20; at++) mission.note('\u0001'.repeat(1_024), { text: '\u0002'.repeat(160) })
    const { notes, notesOmitted } = mission.view()
    t.ok(notes.length > 0 && Buffer.byteLength(JSON.stringify(notes)) <= 16_384 + notes.length + 1)
    t.equal(notes.length + notesOmitted, 20)
  })

  t.test('copy their data, within a limit, and show activity', async (t) => {
    const { missions, clock } = build({ stallMs: 1_000 })
    const mission = missions.start('job')
    clock.advance(1_500)
    t.equal(mission.isStalled, true)
    const data = { list: [1] }
    mission.note('signal', data)
    t.equal(mission.isStalled, false)
    mission.waiting('for approval')
    mission.note('asked ann')
    t.equal(mission.view().waiting, 'for approval', 'a note does not end the wait')
    mission.heartbeat()
    t.equal(mission.view().waiting, null)
    data.list.push(2)
    mission.note('large', 'x'.repeat(2_000))
    mission.note('wrong', { n: 1n })
    t.match(mission.view().notes.map((note) => note.data), [{ list: [1] }, undefined, { truncated: true, bytes: 2_002 }, { unserializable: true }])
    for (const text of [undefined, null, 5, {}] as never[]) t.throws(() => mission.note(text), { code: 'FST_MC_INVALID_MISSION' })
  })
})

t.test('nobody has to listen: everything works without listeners, and nothing is rejected unhandled', async (t) => {
  const { missions } = build({}, { isQuiet: true })
  const ended: Mission[] = []
  t.strictSame(await uncaught(async () => {
    missions.on('mission_ended', (mission) => { ended.push(mission) })
    const mission = missions.start({ id: 'a', name: 'job', parentId: 'p' })
    mission.note('text')
    mission.report('planned', { metadata: { a: 1 }, startedAt: 5 })
    missions.start({ id: 'a', name: 'job', attempt: 2 })
    missions.get('a')!.complete()
    missions.get('a')!.retry().complete()
  }), [])
  t.strictSame(ended.map(({ attempt, status }) => `${attempt} ${status}`), ['1 cancelled', '2 completed', '3 completed'])
})

t.test('updates before and after a new listener continue one sequence', async (t) => {
  const { missions } = build({}, { isQuiet: true })
  missions.report('a', 'completed')
  const updates: MissionUpdate[] = []
  missions.on('mission_update', (update) => { updates.push(update) })
  missions.report('a', 'execution_progress', { attempt: 2, progress: 5 })
  t.match(updates, [{ seq: 1, attempt: 2, startedAt: Number, progress: { fraction: 0.05 } }])
})

t.test('the times of statuses', async (t) => {
  /** Statuses with the ms since the start, at times relative to it. */
  const timesOf = (mission: Mission) => {
    const { statusTimes, startedAt } = mission.view()
    return statusTimes.map(({ status, at }) => [status, at - startedAt])
  }

  t.test('are those of their first reports, and the first one is that of the start', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start('job')
    clock.advance(100)
    mission.report('planning_started', { metadata: { a: 1 } })
    t.strictSame(timesOf(mission), [['planning_started', 0]])
    for (const status of ['tasks_generated', 'execution_started', 'execution_progress', 'execution_progress', 'planned'] as const) {
      clock.advance(100)
      mission.report(status, { metadata: { at: clock.now() } })
    }
    const times = [['planning_started', 0], ['tasks_generated', 200], ['execution_started', 300], ['execution_progress', 400]]
    t.strictSame(timesOf(mission), times)
    clock.advance(100)
    mission.complete()
    t.strictSame(timesOf(mission), [...times, ['completed', 700]])
  })

  t.test('of a mission that goes straight to its end are two, or one', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start('job')
    clock.advance(50)
    mission.complete()
    t.strictSame(timesOf(mission), [['planning_started', 0], ['completed', 50]])
    missions.report('ended', 'cancelled', { startedAt: clock.now() - 500 })
    t.strictSame(timesOf(missions.get('ended')!), [['cancelled', 500]])
  })

  t.test('are within those that the host has reported, and never go backward', async (t) => {
    const { missions, clock } = build()
    const now = clock.now()
    missions.report('a', 'planning_started', { startedAt: now - 1_000 })
    const mission = missions.get('a')!
    mission.report('planned')
    t.strictSame(mission.view().statusTimes, [{ status: 'planning_started', at: now - 1_000 }, { status: 'planned', at: now }])
    clock.advance(500)
    mission.report('execution_started')
    clock.stepWallClock(-10_000)
    mission.report('execution_progress')
    t.strictSame(timesOf(mission).slice(2), [['execution_started', 1_500], ['execution_progress', 1_500]])
    clock.advance(20_000)
    mission.report('completed', { endedAt: now + 300 })
    t.strictSame(timesOf(mission).slice(2), [['execution_started', 1_300], ['execution_progress', 1_300], ['completed', 1_300]])
  })

  t.test('begin anew with each attempt', async (t) => {
    const { missions, clock } = build()
    missions.report('a', 'execution_started')
    missions.report('a', 'execution_progress')
    missions.report('a', 'error', { error: 'no' })
    clock.advance(1_000)
    missions.report('a', 'planned', { attempt: 2 })
    t.strictSame(timesOf(missions.get('a')!), [['planned', 0]])
  })
})
