import fc from 'fast-check'
import t from 'tap'
import { compile } from '../lib/base/validation.js'
import { judge } from '../lib/missions/state/lifecycle.js'
import { CancelledError } from '../lib/missions/index.js'
import { MISSION_STATUSES, MissionView, TERMINAL_STATUSES, type MissionStatus } from '../schemas/index.js'
import { build, settle } from './support/missions.js'

t.test('progress without an argument is the step to execution_progress alone, and an unknown event is never emitted', async (t) => {
  const { missions } = build()
  const received: unknown[] = []
  const off = missions.on('mission_end' as 'mission_ended', (mission) => received.push(mission))
  const mission = missions.start('job')
  t.strictSame((mission as unknown as { progress: () => unknown }).progress(), { applied: true })
  t.match(mission.view(), { status: 'execution_progress', progress: null })
  mission.complete()
  t.strictSame((mission as unknown as { progress: () => unknown }).progress(), { applied: false, reason: 'terminal' })
  t.strictSame(received, [])
  off()
})

t.test('the lifecycle table', async (t) => {
  const rank = (status: MissionStatus) => Math.min(MISSION_STATUSES.indexOf(status), 5)

  t.test('judges every pair of statuses by rank alone', async (t) => {
    for (const from of MISSION_STATUSES) {
      for (const to of MISSION_STATUSES) {
        const expected = from === to ? 'repeated' : rank(from) === 5 ? 'terminal' : rank(to) < rank(from) ? 'backward' : undefined
        t.equal(judge(from, to, false), expected, `${from} -> ${to}`)
      }
    }
  })

  t.test('accepts a repeated status only with news', async (t) => {
    for (const status of MISSION_STATUSES) {
      t.equal(judge(status, status, true), rank(status) === 5 ? 'repeated' : undefined, status)
    }
  })

  t.test('accepts any status as the first one', async (t) => {
    for (const status of MISSION_STATUSES) t.equal(judge(undefined, status, false), undefined, status)
  })
})

t.test('a mission', async (t) => {
  t.test('emits every step of its life once, numbered without gaps', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start({ name: 'import', objective: 'all rows', tags: ['nightly'], metadata: { rows: 3 }, tenant: 'acme' })
    t.same(mission.tasksGenerated(['read', 'write']), { applied: true })
    t.same(mission.planned({ steps: 2 }), { applied: true })
    t.same(mission.executionStarted(), { applied: true })
    t.same(mission.progress({ taskId: 'read', index: 1, total: 2, status: 'done' }), { applied: true })
    clock.advance(1_500.25)
    t.same(mission.complete(), { applied: true })

    const always = { missionId: mission.id, name: 'import', tags: ['nightly'] }
    t.same(updates, [
      { ...always, status: 'planning_started', seq: 1, objective: 'all rows', tenant: 'acme', startedAt: mission.startedAt, metadata: { rows: 3 } },
      { ...always, status: 'tasks_generated', previousStatus: 'planning_started', seq: 2, tasksSummary: ['read', 'write'] },
      { ...always, status: 'planned', previousStatus: 'tasks_generated', seq: 3, planningSession: { steps: 2 } },
      { ...always, status: 'execution_started', previousStatus: 'planned', seq: 4 },
      {
        ...always,
        status: 'execution_progress',
        previousStatus: 'execution_started',
        seq: 5,
        progress: { taskId: 'read', index: 1, total: 2, status: 'done', fraction: 0.5 }
      },
      {
        ...always,
        status: 'completed',
        previousStatus: 'execution_progress',
        seq: 6,
        progress: { taskId: 'read', index: 1, total: 2, status: 'done', fraction: 0.5 },
        endedAt: mission.startedAt + 1_500,
        durationMs: 1_500.25
      }
    ])
    const view = mission.view()
    t.ok(compile(MissionView)(view))
    t.match(view, {
      name: 'import',
      objective: 'all rows',
      tags: ['nightly'],
      metadata: { rows: 3 },
      tenant: 'acme',
      status: 'completed',
      seq: 6,
      startedAt: Date.UTC(2026, 0, 1),
      endedAt: Date.UTC(2026, 0, 1) + 1_500,
      durationMs: 1_500.25
    })
  })

  t.test('exposes the properties it was started with', async (t) => {
    const { missions, clock } = build()
    const init = { id: 'a', name: 'import', objective: 'all rows', tags: ['nightly'], tenant: 'acme' }
    const parent = missions.start(init)
    const { id, name, objective, tags, tenant, parentId, startedAt } = parent
    t.strictSame({ id, name, objective, tags: [...tags], tenant }, init)
    t.strictSame([parentId, startedAt], [null, clock.now()])
    const child = parent.child('part')
    t.strictSame([child.objective, child.tags, child.tenant, child.parentId], [null, [], 'acme', 'a'])
  })

  t.test('may skip steps and ends with the first terminal status', async (t) => {
    for (const status of TERMINAL_STATUSES) {
      const { missions, updates } = build()
      const mission = missions.start('short')
      mission.report(status)
      for (const late of MISSION_STATUSES) t.same(mission.report(late), { applied: false, reason: late === status ? 'repeated' : 'terminal' })
      t.equal(mission.status, status)
      t.equal(mission.view().lateOutcome, status === 'completed' ? 'cancelled' : 'completed', 'the first late ending is kept')
      t.equal(missions.stats().lateOutcomes, 2, 'the same ending again is not a late one')
      t.equal(updates.length, 2, 'late reports emit nothing')
    }
  })

  t.test('records no late outcome for a late step that is not terminal', async (t) => {
    const { missions } = build()
    const mission = missions.start('short')
    mission.complete()
    mission.executionStarted()
    t.equal(mission.view().lateOutcome, null)
  })

  t.test('never goes back and emits nothing twice', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    mission.executionStarted()
    t.same(mission.planned(), { applied: false, reason: 'backward' })
    t.same(mission.executionStarted(), { applied: false, reason: 'repeated' })
    const progress = { taskId: 'a', index: 1, total: 3, status: 'running' }
    t.same(mission.progress(progress), { applied: true })
    t.same(mission.progress({ ...progress }), { applied: false, reason: 'repeated' })
    for (const change of [{ taskId: 'b' }, { index: 2 }, { total: 4 }, { status: 'done' }]) {
      clock.advance(100)
      t.same(mission.progress({ ...progress, ...change }), { applied: true }, `new ${Object.keys(change)[0]}`)
      clock.advance(100)
      mission.progress(progress)
    }
    t.same(mission.report('execution_progress'), { applied: false, reason: 'repeated' })
    t.equal(mission.status, 'execution_progress')
    t.equal(updates.length, 11)
  })

  t.test('emits what a report brings beside a repeated status', async (t) => {
    const { missions, clock, updatesOf } = build()
    const progress = { taskId: 'a', index: 1, total: 2, status: 'done' }
    for (const status of MISSION_STATUSES.slice(0, 5)) {
      const mission = missions.start({ id: status, name: 'job' })
      mission.report(status, status === 'execution_progress' ? { progress: { ...progress, status: 'started' } } : {})
      for (const details of [{ tasksSummary: ['a', 'b'] }, { planningSession: { steps: 2 } }, { progress }]) {
        clock.advance(1_000)
        t.same(mission.report(status, details), { applied: true })
        t.match(updatesOf(status).at(-1), { status, previousStatus: undefined, ...details })
      }
      clock.advance(1_000)
      mission.annotate({ rows: 7 })
      t.match(updatesOf(status).at(-1), { status, metadata: { rows: 7 } })
      const { length } = updatesOf(status)
      t.same(mission.report(status), { applied: false, reason: 'repeated' })
      t.same(mission.report(status, { progress }), { applied: false, reason: 'repeated' })
      clock.advance(1_000)
      t.equal(updatesOf(status).length, length)
    }
  })

  t.test('loses no detail of repeated statuses that come in quick succession', async (t) => {
    const { missions, clock, updates } = build()
    const mission = missions.start('job')
    for (const details of [{}, { planningSession: 'a' }, { planningSession: 'b' }, { tasksSummary: ['c'] }]) mission.report('planned', details)
    mission.executionStarted()
    clock.advance(1_000)
    t.match(updates, [{ seq: 1 }, { seq: 2 }, { planningSession: 'a' }, { status: 'execution_started', planningSession: 'b', tasksSummary: ['c'] }])
    t.equal(updates.length, 4)
  })

  t.test('accepts its first progress after the progress status was reported without details', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    t.same(mission.report('execution_progress'), { applied: true })
    t.same(mission.progress({ taskId: 'a', index: 1, total: 1, status: 'done' }), { applied: true })
  })

  t.test('does not change when the host mutates the objects it passed', async (t) => {
    const { missions, updates } = build()
    const tags = ['one']
    const metadata = { deep: { value: 1 } }
    const progress = { taskId: 'a', index: 1, total: 2, status: 'running' }
    const mission = missions.start({ name: 'job', tags, metadata })
    mission.progress(progress)
    tags.push('two')
    metadata.deep.value = 2
    progress.index = 2
    t.match(mission.view(), { tags: ['one'], metadata: { deep: { value: 1 } }, progress: { index: 1 } })
    t.equal(updates[1]!.progress!.index, 1)
    const view = mission.view()
    view.progress!.index = 9
    t.equal(mission.view().progress!.index, 1, 'a view is a copy')
  })

  t.test('keeps the code and message of a thrown value, never its stack', async (t) => {
    const { missions, updates } = build()
    const hostile = { get code () { throw new Error('no code') }, get message () { throw new Error('no message') } }
    const cases: Array<[unknown, { code: string, message: string }]> = [
      [Object.assign(new Error('disk full'), { code: 'ENOSPC' }), { code: 'ENOSPC', message: 'disk full' }],
      [new Error('plain'), { code: 'error', message: 'plain' }],
      ['just text', { code: 'error', message: 'just text' }],
      [{ code: 'mine', message: 'my text' }, { code: 'mine', message: 'my text' }],
      [null, { code: 'error', message: 'unknown error' }],
      [7, { code: '7', message: 'error code 7' }],
      [hostile, { code: 'error', message: 'unknown error' }],
      ['y'.repeat(5_000), { code: 'error', message: `${'y'.repeat(2_045)}…` }]
    ]
    for (const [thrown, expected] of cases) {
      const mission = missions.start('job')
      mission.fail(thrown)
      t.same(mission.view().error, expected)
      t.match(updates.at(-1), { error: expected.message, errorCode: expected.code })
      t.notMatch(JSON.stringify(updates.at(-1)), 'missions.test')
    }
  })

  t.test('replaces values that cannot be sent with visible placeholders', async (t) => {
    const { missions, updates } = build()
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    const throwing = { get secret () { throw new Error('secret text') } }
    const mission = missions.start({ name: 'job', metadata: { big: 'x'.repeat(5_000) } })
    t.same(mission.view().metadata, { truncated: true, bytes: 5_010, preview: `{"big":"${'x'.repeat(248)}` })
    mission.tasksGenerated([cycle, { n: 1n }, throwing, 'fine', () => 1, 'six', 'seven'])
    const placeholder = { unserializable: true }
    t.same(updates.at(-1)!.tasksSummary, [placeholder, placeholder, placeholder, 'fine', placeholder, { truncated: true, count: 2 }])
    mission.planned('ü'.repeat(20_000))
    t.same(updates.at(-1)!.planningSession, { truncated: true, bytes: 40_002, preview: `"${'ü'.repeat(255)}` })
    mission.report('execution_started', { tasksSummary: { not: 'a list' } })
    t.same(updates.at(-1)!.tasksSummary, { not: 'a list' })
  })

  t.test('keeps its status after a cancel request, aborts its signal and emits the request once', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    const { signal } = mission
    mission.executionStarted()
    t.equal(mission.cancel({ reason: 'not needed', by: 'ann' }), 'requested')
    t.equal(mission.cancel(), 'already_requested')
    t.equal(mission.status, 'execution_started')
    const cancel = { requested: true, kind: 'request', reason: 'not needed', by: 'ann' }
    t.same(updates.at(-1), { missionId: mission.id, status: 'execution_started', name: 'job', seq: 3, cancel })
    t.ok(signal.aborted)
    t.ok(signal.reason instanceof CancelledError)
    t.match(signal.reason, { code: 'FST_MC_CANCELLED', cancel })
    mission.progress({ taskId: 'a', index: 1, total: 1, status: 'cleaning up' })
    t.notOk(updates.at(-1)!.cancel, 'progress does not repeat the request')
    mission.report('cancelled')
    t.same(updates.at(-1)!.cancel, cancel, 'the ending carries the request')
    t.equal(mission.cancel(), 'terminal')
    t.equal(missions.cancel(mission.id), 'terminal')
    t.equal(missions.cancel('unknown'), 'not_found')
    t.equal(missions.start('other').cancel(), 'requested')
    t.same(missions.list().missions[0]!.cancel, { requested: true, kind: 'request', reason: null, by: null })
  })
})

t.test('the registry', async (t) => {
  t.test('rejects a status outside the eight, from a handle and by id', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    for (const status of ['done', '', 'COMPLETED', '__proto__', undefined, null, 5]) {
      t.throws(() => mission.report(status as MissionStatus), { code: 'FST_MC_UNKNOWN_STATUS' })
      t.throws(() => missions.report('other', status as MissionStatus), { code: 'FST_MC_UNKNOWN_STATUS' })
    }
    t.equal(missions.get('other'), undefined, 'a rejected report registers nothing')
    t.throws(() => missions.list({ status: 'done' as MissionStatus }), { code: 'FST_MC_UNKNOWN_STATUS' })
  })

  t.test('rejects a mission of the wrong shape, and a function as progress, without repeating the input', async (t) => {
    const { missions } = build()
    const inits: unknown[] = [
      undefined, null, 7, {}, { name: 5 }, { name: 'x', secret: 'canary' }, { name: 'x', tags: 'canary' }, { name: 'x', tags: [5] },
      { name: 'x', id: '' }, { name: 'x', id: 'i'.repeat(257) }, { name: 'x', metadata: 'canary' },
      { name: 'x', id: 'a\ud83d' }, { name: 'x', parentId: '\ude80' }, { name: 'x', tenant: '\ud83d\ud83d' }
    ]
    for (const init of inits) {
      t.throws(() => missions.start(init as string), { code: 'FST_MC_INVALID_MISSION', message: /^(?!.*canary)/ }, JSON.stringify(init))
    }
    const mission = missions.start('job')
    for (const progress of [() => 1, Symbol('canary')]) {
      t.throws(() => mission.progress(progress as never), { code: 'FST_MC_INVALID_MISSION', message: /^(?!.*canary)/ }, String(progress))
      const details = { progress: progress as never }
      t.throws(() => mission.report('execution_progress', details), { code: 'FST_MC_INVALID_MISSION' }, String(progress))
      t.throws(() => missions.report('other', 'execution_progress', details), { code: 'FST_MC_INVALID_MISSION' }, String(progress))
    }
    t.equal(missions.get('other'), undefined, 'a rejected report registers nothing')
    for (const id of ['', 'x'.repeat(257), 'a\ud83d', undefined, 5]) {
      t.throws(() => missions.report(id as string, 'planned'), { code: 'FST_MC_INVALID_MISSION' })
    }
    const throwing = { name: 'job', get tags (): string[] { throw new Error('canary') } }
    t.throws(() => missions.start(throwing), { code: 'FST_MC_INVALID_MISSION', message: /cannot be read/ })
    for (const reason of [undefined, null, 5, {}] as never[]) {
      t.throws(() => mission.waiting(reason), { code: 'FST_MC_INVALID_MISSION', message: /reason must be text/ })
    }
    for (const request of [null, 'now', 5, { reason: 5 }, { by: {} }] as never[]) {
      t.throws(() => mission.cancel(request), { code: 'FST_MC_INVALID_MISSION' }, JSON.stringify(request))
      t.throws(() => missions.cancel(mission.id, request), { code: 'FST_MC_INVALID_MISSION' }, JSON.stringify(request))
    }
    t.match(mission.view(), { waiting: null, cancel: null, seq: 1 })
    for (const limit of [0, 201, 1.5, NaN]) t.throws(() => missions.list({ limit }), { code: 'FST_MC_INVALID_MISSION' })
    t.equal(missions.stats().total, 1)
  })

  t.test('generates mission ids that cannot be guessed', async (t) => {
    const { missions } = build()
    const ids = Array.from({ length: 1_000 }, () => missions.start('job').id)
    t.equal(new Set(ids).size, 1_000)
    t.ok(ids.every((id) => /^mission_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)))
  })

  t.test('returns the active mission for its id and rejects the id of an ended mission', async (t) => {
    const { missions, updates } = build()
    const first = missions.start({ id: 'order-7', name: 'order' })
    t.equal(missions.start({ id: 'order-7', name: 'again' }), first)
    t.equal(updates.length, 1)
    first.complete()
    t.throws(() => missions.start({ id: 'order-7', name: 'order' }), { code: 'FST_MC_MISSION_ENDED' })
    t.equal(missions.get('order-7'), first)
  })

  t.test('registers an unknown id with its first report and invents no earlier steps', async (t) => {
    const { missions, updates } = build()
    t.same(missions.report('job-1', 'execution_started'), { applied: true })
    t.same(missions.report('job-1', 'planned'), { applied: false, reason: 'backward' })
    t.same(missions.report('job-1', 'error', { error: { code: 'boom', message: 'it broke' } }), { applied: true })
    t.same(missions.report('job-2', 'completed'), { applied: true })
    t.same(updates.map(({ missionId, status }) => [missionId, status]),
      [['job-1', 'execution_started'], ['job-1', 'error'], ['job-2', 'completed']])
    t.match(missions.stats(), { active: 0, completed: 1, errors: 1, total: 2 })
  })

  t.test('lists copies of its missions, newest first', async (t) => {
    const { missions } = build()
    for (let i = 0; i < 60; i++) missions.start({ id: `m${i}`, name: 'job' })
    missions.get('m3')!.complete()
    t.equal(missions.list().missions.length, 50)
    t.same(missions.list({ limit: 2 }).missions.map(({ id }) => id), ['m59', 'm58'])
    t.same(missions.list({ status: 'completed' }).missions.map(({ id }) => id), ['m3'])
    t.same(missions.list({ status: 'planning_started', limit: 200 }).missions.length, 59)
    missions.list().missions[0]!.status = 'error'
    t.equal(missions.get('m59')!.status, 'planning_started')
  })

  t.test('returns the mean duration of ended missions, null before the first ending', async (t) => {
    const { missions, clock } = build()
    const counts = { active: 0, completed: 0, cancelled: 0, errors: 0, total: 0, stalled: 0, lateOutcomes: 0, refused: 0, untracked: 0 }
    t.same(missions.stats(), { ...counts, avgDurationMs: null })
    const [a, b] = [missions.start('a'), missions.start('b')]
    clock.advance(100)
    a.complete()
    clock.advance(200)
    b.report('cancelled')
    t.equal(missions.stats().avgDurationMs, 200)
  })

  t.test('measures durations independently of the wall clock', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start('job')
    clock.stepWallClock(-3_600_000)
    clock.advance(250)
    mission.complete()
    const { durationMs, startedAt, endedAt } = mission.view()
    t.equal(durationMs, 250)
    t.equal(endedAt, startedAt, 'nothing ends before it has started')
  })

  t.test('keeps its totals equal to a full recount after any history', async () => {
    const step = fc.record({ mission: fc.nat(7), status: fc.constantFrom(...MISSION_STATUSES), waitMs: fc.nat(1_000) })
    fc.assert(fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const { missions, updates, clock } = build()
      for (const { mission, status, waitMs } of steps) {
        clock.advance(waitMs)
        missions.report(`m${mission}`, status)
        const views = missions.list({ limit: 200 }).missions
        const count = (wanted: string) => views.filter((view) => view.status === wanted).length
        const ended = views.filter(({ durationMs }) => durationMs !== null)
        const totals = missions.stats()
        const recount = { completed: count('completed'), cancelled: count('cancelled'), errors: count('error') }
        const mean = ended.length === 0 ? null : ended.reduce((sum, { durationMs }) => sum + durationMs!, 0) / ended.length
        if (totals.active !== views.length - ended.length || totals.total !== views.length) return false
        if (Object.entries(recount).some(([name, value]) => totals[name as keyof typeof recount] !== value)) return false
        if (Math.abs((totals.avgDurationMs ?? -1) - (mean ?? -1)) > 1e-6) return false
      }
      const lastSeq = new Map<string, number>()
      return updates.every(({ missionId, seq }) => {
        const isNext = seq === (lastSeq.get(missionId) ?? 0) + 1
        lastSeq.set(missionId, seq)
        return isNext
      })
    }), { numRuns: 300 })
  })

  t.test('keeps working when a listener throws, rejects or reports to a mission', async (t) => {
    const { missions, updates, failures, registry } = build()
    missions.on('mission_update', () => { throw new Error('thrown') })
    missions.on('mission_update', async () => { throw new Error('rejected') })
    const off = missions.on('mission_update', ({ missionId, status }) => {
      if (status === 'planning_started') missions.get(missionId)!.executionStarted()
    })
    missions.start({ id: 'a', name: 'job' })
    await settle()
    t.equal(missions.get('a')!.status, 'execution_started')
    t.equal(updates.length, 2)
    t.same(failures.map(([where, err]) => [where, (err as Error).message]).sort(),
      [['mission_listener', 'rejected'], ['mission_listener', 'rejected'], ['mission_listener', 'thrown'], ['mission_listener', 'thrown']])
    off()
    off()
    missions.start({ id: 'b', name: 'job' })
    t.equal(missions.get('b')!.status, 'planning_started')
    registry.close()
    missions.get('b')!.complete()
    t.equal(updates.at(-1)!.status, 'planning_started', 'nothing is emitted after close')
  })
})
