import t from 'tap'
import { CancelledError, type Mission, type MissionWork } from '../lib/missions/index.js'
import type { MissionUpdate } from '../schemas/index.js'
import { boot, uncaught } from './support/app.js'
import { build, defer, findStreamFaults, settle } from './support/missions.js'

const statusesOf = (updates: readonly MissionUpdate[]) => updates.map(({ status }) => status)

const abortError = (cause?: unknown) => Object.assign(new Error('stopped', { cause }), { name: 'AbortError' })

class HostileError extends Error {
  override get name (): string { throw new Error('no name') }
}

t.test('run', async (t) => {
  type Ending = [title: string, work: MissionWork<unknown>, status: string, error: object | null, fails: boolean]
  const boom = Object.assign(new Error('it broke'), { code: 'BOOM' })
  const endings: Ending[] = [
    ['returns', () => 1, 'completed', null, false],
    ['returns later', async () => { await settle() }, 'completed', null, false],
    ['throws at once', () => { throw boom }, 'error', { code: 'BOOM', message: 'it broke' }, true],
    ['throws later', async () => { await settle(); throw boom }, 'error', { code: 'BOOM', message: 'it broke' }, true],
    // eslint-disable-next-line no-throw-literal -- any thrown value must end the mission
    ['throws undefined', () => { throw undefined }, 'error', { code: 'error', message: 'unknown error' }, true],
    ['throws an AbortError of another signal', () => { throw abortError() }, 'error', { code: 'AbortError', message: 'stopped' }, true],
    ['completes itself and throws', (mission) => { mission.complete(); throw boom }, 'completed', null, true],
    ['fails itself and returns', (mission) => { mission.fail(boom) }, 'error', { code: 'BOOM' }, false],
    ['reports itself cancelled and returns', (mission) => { mission.report('cancelled') }, 'cancelled', null, false],
    ['returns after a cancel request', (mission) => { mission.cancel() }, 'completed', null, false],
    ['throws the reason of its signal', (mission) => { mission.cancel(); mission.signal.throwIfAborted() }, 'cancelled', null, true],
    ['throws an AbortError after a cancel request', (mission) => { mission.cancel(); throw abortError() }, 'cancelled', null, true],
    [
      'throws an error caused by its signal',
      (mission) => { mission.cancel(); throw new Error('x', { cause: mission.signal.reason }) },
      'cancelled', null, true
    ],
    [
      'throws another error after a cancel request',
      (mission) => { mission.cancel(); throw boom },
      'cancelled', { code: 'BOOM', message: 'it broke' }, true
    ],
    [
      'throws a string after a cancel request',
      // eslint-disable-next-line no-throw-literal -- as above
      (mission) => { mission.cancel(); throw 'no' },
      'cancelled', { code: 'error', message: 'no' }, true
    ],
    [
      'throws an error with throwing getters after a cancel request',
      (mission) => { mission.cancel(); throw new HostileError('x') },
      'cancelled', { code: 'error', message: 'x' }, true
    ]
  ]
  for (const [title, work, status, error, fails] of endings) {
    t.test(`ends the mission of a function that ${title} once, as ${status}, and settles like the function`, async (t) => {
      const { missions, updates } = build()
      let started: Mission | undefined
      const running = missions.run('job', (mission) => { started = mission; return work(mission) })
      t.equal(await running.then(() => 'resolved', () => 'rejected'), fails ? 'rejected' : 'resolved')
      const [view] = missions.list().missions
      t.match(view, { status, error })
      t.strictSame(findStreamFaults(updates), [])
      t.equal(statusesOf(updates).filter((one) => one === status).length, 1, 'the ending is emitted once')
      t.match(missions.stats(), { active: 0, total: 1, lateOutcomes: 0 })
      t.match(await started!.done, { id: started!.id, status, error })
    })
  }

  t.test('resolves with the value of the function and rejects with its error object', async (t) => {
    const { missions } = build()
    const value = { rows: 7 }
    t.equal(await missions.run('job', async () => value), value)
    await missions.run('job', () => { throw boom }).then(() => t.fail('resolved'), (err) => t.equal(err, boom))
  })

  t.test('settles after its mission has ended', async (t) => {
    const { missions } = build()
    await missions.run({ id: 'a', name: 'job' }, () => {})
    t.equal(missions.get('a')!.status, 'completed')
  })

  t.test('calls the function in every case, untracked if the mission cannot start', async (t) => {
    const text = (length: number) => 'x'.repeat(length)
    const throwing = { get name (): string { throw new Error('canary') } }
    const hopeless: Array<[reason: string, code: string, init: unknown]> = [
      ['invalid', 'FST_MC_INVALID_MISSION', undefined],
      ['invalid', 'FST_MC_INVALID_MISSION', null],
      ['invalid', 'FST_MC_INVALID_MISSION', 5],
      ['invalid', 'FST_MC_INVALID_MISSION', Symbol('x')],
      ['invalid', 'FST_MC_INVALID_MISSION', () => {}],
      ['invalid', 'FST_MC_INVALID_MISSION', {}],
      ['invalid', 'FST_MC_INVALID_MISSION', { name: 5 }],
      ['invalid', 'FST_MC_INVALID_MISSION', throwing],
      ['invalid', 'FST_MC_INVALID_MISSION', { name: 'job', id: '' }],
      ['invalid', 'FST_MC_INVALID_MISSION', { name: text(300), id: text(257) }],
      ['invalid', 'FST_MC_INVALID_MISSION', { name: 'job', tags: 'a' }],
      ['invalid', 'FST_MC_INVALID_MISSION', { name: 'job', surplus: 1 }],
      ['invalid', 'FST_MC_INVALID_TIME', { name: 'job', startedAt: 'yesterday' }],
      ['invalid', 'FST_MC_INVALID_PARENT', { name: 'job', id: 'a', parentId: 'a' }],
      ['ended', 'FST_MC_MISSION_ENDED', { name: 'job', id: 'ended' }],
      ['full', 'FST_MC_TOO_MANY_MISSIONS', 'job']
    ]
    for (const [reason, code, init] of hopeless) {
      const { missions, updates, untracked } = build({ maxActive: 1 })
      missions.report('ended', 'completed')
      if (reason === 'full') missions.start('other')
      const before = updates.length
      const seen: Mission[] = []
      const work = (mission: Mission) => {
        seen.push(mission)
        t.equal(missions.current(), mission, 'it is the current mission')
        mission.tasksGenerated(['a'])
        mission.note('note')
        mission.extendTimeout(5)
        mission.setParent('parent')
        mission.task('a', () => {})
        mission.annotate({ a: 1 })
        return 'done'
      }
      t.equal(await missions.run(init as never, work), 'done')
      const spawned = missions.spawn(init as never, work)
      t.match(await spawned.done, { status: 'completed' })
      await t.rejects(missions.run(init as never, () => { throw new Error('broken') }), /broken/)
      t.equal(seen.length, 2)
      for (const mission of seen) {
        t.match(mission, { isTracked: false, isTerminal: true, parentId: 'parent', outcome: { status: 'completed' } })
        t.match(mission.name, reason === 'invalid' ? /^(unnamed|job|x{255}…)$/ : 'job')
        t.not(missions.get(mission.id), mission)
      }
      t.equal(updates.length, before, 'nobody sees it')
      t.match(missions.stats(), { total: reason === 'full' ? 2 : 1, errors: 0, untracked: 3 })
      t.strictSame(untracked, [[reason, code]], 'only the first one is logged')
    }
  })

  t.test('passes a cancel to the signal of an untracked function', async (t) => {
    const { missions, clock } = build({ maxActive: 1 })
    missions.start('other')
    const mission = missions.spawn('job', async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      signal.throwIfAborted()
    })
    t.equal(mission.cancel({ reason: 'enough' }), 'requested')
    t.match(await mission.done, { status: 'cancelled', cancel: { reason: 'enough' } })
    t.throws(() => mission.retry(), { code: 'FST_MC_TOO_MANY_MISSIONS' })
    t.equal(clock.running, 1, 'only the stall timer of the other')
  })

  t.test('a child of an untracked function is tracked as soon as there is room', async (t) => {
    const { missions } = build({ maxActive: 1 })
    const other = missions.start('other')
    await missions.run('job', (mission) => {
      t.equal(mission.child('unpack').isTracked, false)
      other.complete()
      const child = mission.child({ id: 'child', name: 'unpack' })
      t.match(child, { isTracked: true, parentId: mission.id })
      child.complete()
      t.equal(mission.child({ id: 'child', name: 'unpack' }).isTracked, false, 'its id has ended')
      t.equal(mission.child({ id: 'child', name: 'unpack', attempt: 'next' }).attempt, 2)
      t.throws(() => mission.child({ name: 5 as never }), { code: 'FST_MC_INVALID_MISSION' })
    })
  })

  t.test('joins the running function of an active id', async (t) => {
    const { missions } = build()
    const gate = defer<string>()
    const first = missions.run({ id: 'a', name: 'job' }, () => gate.promise)
    const second = missions.run({ id: 'a', name: 'job' }, () => t.fail('ran twice'))
    const third = missions.spawn({ id: 'a', name: 'job' }, () => t.fail('ran twice'))
    gate.resolve('done')
    t.strictSame(await Promise.all([first, second]), ['done', 'done'])
    t.equal(third, missions.get('a'))
    t.equal(await missions.run({ id: 'a', name: 'job' }, ({ isTracked }) => isTracked), false, 'it has ended')
    t.equal(await missions.run({ id: 'a', name: 'job', attempt: 'next' }, ({ attempt }) => attempt), 2)
    t.match(missions.get('a')!.view(), { status: 'completed', attempt: 2, attempts: [{ attempt: 1, status: 'completed' }] })
  })

  t.test('rejects work that is not a function before a mission starts', async (t) => {
    const { missions, updates } = build()
    for (const work of [undefined, null, {}, 'work'] as never[]) {
      await t.rejects(missions.run('job', work), { code: 'FST_MC_INVALID_MISSION', message: /work must be a function/ })
      t.throws(() => missions.spawn('job', work), { code: 'FST_MC_INVALID_MISSION', message: /work must be a function/ })
    }
    t.strictSame(updates, [])
    t.equal(missions.stats().total, 0)
  })

  t.test('calls the function even if a listener ended the mission at its start', async (t) => {
    const { missions } = build()
    missions.on('mission_update', ({ missionId, status }) => {
      if (status === 'planning_started') missions.get(missionId)!.complete()
    })
    t.equal(await missions.run('job', ({ status }) => status), 'completed')
    await t.rejects(missions.run('job', () => { throw new Error('broken') }), /broken/)
    t.match(missions.stats(), { completed: 2, errors: 0, lateOutcomes: 0, untracked: 0 })
  })

  t.test('becomes the function of an active mission that has none', async (t) => {
    const { missions } = build()
    const queued = missions.start({ id: 'a', name: 'job' })
    queued.waiting('queued')
    t.equal(await missions.run({ id: 'a', name: 'job' }, (mission) => mission === queued), true)
    t.equal(queued.status, 'completed')
    const failing = missions.start({ id: 'b', name: 'job' })
    t.equal(missions.spawn({ id: 'b', name: 'job' }, () => { throw new Error('broken') }), failing)
    t.match(await failing.done, { status: 'error' })
    t.match(missions.stats(), { total: 2, untracked: 0 })
  })
})

t.test('spawn', async (t) => {
  t.test('returns the mission at once, and resolves done with the outcome', async (t) => {
    const { missions } = build()
    const gate = defer()
    const mission = missions.spawn('job', () => gate.promise)
    t.equal(mission.status, 'planning_started')
    gate.reject(new Error('it broke'))
    t.match(await mission.done, { id: mission.id, status: 'error', error: { message: 'it broke' }, cancel: null, durationMs: 0 })
  })

  t.test('never causes an unhandled rejection', async (t) => {
    const { missions, registry } = build()
    const caught = await uncaught(async () => {
      missions.spawn('thrown', () => { throw new Error('thrown') })
      missions.spawn('rejected', async () => { throw new Error('rejected') })
      // eslint-disable-next-line prefer-promise-reject-errors -- as above
      missions.spawn('undefined', async () => await Promise.reject(undefined))
      const late = defer()
      missions.spawn({ id: 'late', name: 'late' }, () => late.promise).cancel()
      registry.find('late')!.force()
      late.reject(new Error('late'))
      await settle()
    })
    t.strictSame(caught, [])
    t.match(missions.stats(), { active: 0, errors: 3, cancelled: 1, lateOutcomes: 0 })
  })
})

t.test('start', async (t) => {
  t.test('ends a mission as abandoned if its scope is left before it ended', async (t) => {
    const { missions, updates } = build()
    const leave = async () => {
      await using mission = missions.start({ id: 'a', name: 'job' })
      mission.executionStarted()
    }
    await leave()
    t.match(missions.get('a')!.view(), { status: 'error', error: { code: 'abandoned' } })
    t.strictSame(statusesOf(updates), ['planning_started', 'execution_started', 'error'])
  })

  t.test('keeps the ending of a mission that ended before its scope is left', async (t) => {
    const { missions } = build()
    const leave = async () => {
      await using mission = missions.start({ id: 'a', name: 'job' })
      mission.complete()
    }
    await leave()
    t.match(missions.get('a')!.view(), { status: 'completed', lateOutcome: null })
  })

  t.test('returns a mission that can be disposed without the using syntax', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    await mission[Symbol.asyncDispose]()
    t.equal(mission.status, 'error')
  })
})

t.test('current', async (t) => {
  t.test('is the mission whose function is running, across every await', async (t) => {
    const { missions } = build()
    t.equal(missions.current(), undefined)
    await missions.run({ id: 'outer', name: 'job' }, async (outer) => {
      t.equal(missions.current(), outer)
      await settle()
      t.equal(missions.current(), outer)
      await missions.run({ id: 'inner', name: 'job' }, async (inner) => {
        await settle()
        t.equal(missions.current(), inner)
      })
      t.equal(missions.current(), outer)
      await outer.task('a', () => { t.equal(missions.current(), outer) })
    })
    t.equal(missions.current(), undefined)
  })

  t.test('separates functions that run concurrently', async (t) => {
    const { missions } = build()
    const work = async (mission: Mission) => {
      for (let i = 0; i < 3; i++) {
        await settle()
        t.equal(missions.current(), mission)
      }
    }
    await Promise.all([missions.run('a', work), missions.run('b', work), missions.spawn('c', work).done])
  })

  t.test('is undefined in timer callbacks, whichever mission started the shared timer', async (t) => {
    const { missions, clock } = build({ stallMs: 1_000 })
    const current: unknown[] = []
    missions.on('mission_update', ({ stalled }) => { if (stalled === true) current.push(missions.current()) })
    const gate = defer()
    const running = missions.run('a', () => {
      missions.start('b')
      queueMicrotask(() => clock.advance(1_000))
      return gate.promise
    })
    await settle()
    gate.resolve()
    await running
    t.strictSame(current, [undefined, undefined])
  })
})

t.test('a task', async (t) => {
  const tasksOf = (updates: readonly MissionUpdate[]) =>
    updates.flatMap(({ progress }) => progress ? [[progress.taskId, progress.index, progress.total, progress.status]] : [])

  t.test('is reported before and after it runs, with its index in the plan', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    mission.tasksGenerated(['read', 'write', 'check'])
    for (const taskId of ['read', 'write']) {
      t.equal(await mission.task(taskId, async (signal) => {
        t.equal(signal, mission.signal)
        clock.advance(100)
        return `${taskId} done`
      }), `${taskId} done`)
      clock.advance(100)
    }
    t.strictSame(tasksOf(updates),
      [['read', 1, 3, 'started'], ['read', 1, 3, 'completed'], ['write', 2, 3, 'started'], ['write', 2, 3, 'completed']])
    t.equal(mission.status, 'execution_progress')
    const startedAt = Date.UTC(2026, 0, 1)
    t.strictSame(mission.view().tasks, [
      { taskId: 'read', index: 1, status: 'completed', startedAt, endedAt: startedAt + 100 },
      { taskId: 'write', index: 2, status: 'completed', startedAt: startedAt + 200, endedAt: startedAt + 300 }
    ])
  })

  t.test('that throws is reported as failed and does not end the mission', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start('job')
    const boom = new Error('it broke')
    await mission.task('a', () => { throw boom }).then(() => t.fail('resolved'), (err) => t.equal(err, boom))
    await mission.task('a', async () => { throw boom }).then(() => t.fail('resolved'), (err) => t.equal(err, boom))
    clock.advance(100)
    t.match(mission.view().tasks, [{ taskId: 'a', index: 1, status: 'failed' }])
    t.equal(mission.isTerminal, false)
  })

  t.test('gets its own index beside concurrent tasks, and keeps it when it runs again', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start('job')
    const gate = defer()
    const running = ['a', 'b', 'c'].map((taskId) => mission.task(taskId, () => gate.promise))
    gate.resolve()
    await Promise.all(running)
    await mission.task('b', () => {})
    clock.advance(100)
    t.match(mission.view().tasks, ['a', 'b', 'c'].map((taskId, i) => ({ taskId, index: i + 1, status: 'completed' })))
  })

  t.test('that runs again has ended only once it ends again, and keeps its start', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start('job')
    const startedAt = clock.now()
    const tell = (status: string) => {
      clock.advance(100)
      mission.progress({ taskId: 'a', status })
      const { startedAt: from, endedAt } = mission.view().tasks[0]!
      return [from! - startedAt, endedAt === undefined ? 'open' : endedAt - startedAt]
    }
    t.strictSame(['queued', 'running', 'failed', 'failed', 'done', 'running', 'skipped'].map(tell),
      [[100, 'open'], [100, 'open'], [100, 300], [100, 300], [100, 300], [100, 'open'], [100, 700]])
    clock.stepWallClock(-10_000)
    mission.progress({ taskId: 'b', status: 'running' })
    clock.stepWallClock(-10_000)
    mission.progress({ taskId: 'b', status: 'done' })
    const { startedAt: from, endedAt } = mission.view().tasks[1]!
    t.equal(endedAt, from, 'not before its start')
  })

  t.test('of an ended mission still runs and emits nothing', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    mission.complete()
    t.equal(await mission.task('a', () => 1), 1)
    t.strictSame(statusesOf(updates), ['planning_started', 'completed'])
    t.match(mission.view(), { status: 'completed', tasks: [], lateOutcome: null })
  })
})

t.test('a child', async (t) => {
  t.test('carries the id of its parent in its first update', async (t) => {
    const { missions, updatesOf } = build()
    const parent = missions.start('parent')
    const child = parent.child({ name: 'child', objective: 'a part' })
    t.equal(child.parentId, parent.id)
    child.complete()
    t.strictSame(updatesOf(child.id).map(({ parentId }) => parentId), [parent.id, undefined])
    t.equal(child.view().parentId, parent.id)
    t.equal(parent.isTerminal, false)
  })

  t.test('is cancelled with its parent, and so are its own children', async (t) => {
    const { missions, updates } = build()
    const parent = missions.start('parent')
    const child = parent.child('child')
    const grandchild = child.child('grandchild')
    const ended = parent.child('ended')
    ended.complete()
    t.equal(parent.cancel({ reason: 'enough' }), 'requested')
    t.match(child.view().cancel, { kind: 'parent', requested: true })
    t.match(grandchild.view().cancel, { kind: 'parent' })
    t.equal(ended.view().cancel, null)
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('that starts after its parent was cancelled is cancelled at once', async (t) => {
    const { missions } = build()
    const parent = missions.start('parent')
    parent.cancel()
    t.match(parent.child('late').view().cancel, { kind: 'parent' })
    parent.report('cancelled')
    t.match(parent.child('later').view().cancel, { kind: 'parent' })
  })

  t.test('stays active when its parent ends by itself, and may start after that', async (t) => {
    const { missions } = build()
    const parent = missions.start('parent')
    const child = parent.child('child')
    parent.complete()
    t.equal(child.view().cancel, null)
    t.equal(parent.child('late').view().cancel, null)
  })

  t.test('is cancelled even if its parent ends synchronously when it is cancelled', async (t) => {
    for (const endsOn of ['signal', 'update']) {
      const { missions, updates } = build()
      const parent = missions.start('parent')
      const child = parent.child('child')
      if (endsOn === 'signal') parent.signal.addEventListener('abort', () => parent.report('cancelled'))
      else {
        missions.on('mission_update', ({ missionId, cancel }) => {
          if (missionId === parent.id && cancel !== undefined) parent.report('cancelled')
        })
      }
      t.equal(parent.cancel(), 'requested')
      t.equal(parent.status, 'cancelled')
      t.match(child.view().cancel, { kind: 'parent' }, endsOn)
      t.strictSame(findStreamFaults(updates), [])
    }
  })

  t.test('may end its parent while both are cancelled, and nothing is emitted after that ending', async (t) => {
    const { missions, updates } = build()
    const parent = missions.start('parent')
    parent.child('child').signal.addEventListener('abort', () => parent.complete())
    parent.cancel()
    t.equal(parent.status, 'completed')
    t.strictSame(findStreamFaults(updates), [])
    t.match(missions.stats(), { active: 1, completed: 1, total: 2 })
  })
})

t.test('annotate', async (t) => {
  t.test('merges metadata and emits the result', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start({ name: 'job', metadata: { rows: 1, source: 'a' } })
    mission.annotate({ rows: 2, deep: { x: [1] } })
    t.strictSame(updates.at(-1)!.metadata, { rows: 2, source: 'a', deep: { x: [1] } })
    t.strictSame(mission.metadata, { rows: 2, source: 'a', deep: { x: [1] } })
    clock.advance(100)
    mission.executionStarted()
    t.equal('metadata' in updates.at(-1)!, false, 'metadata is emitted once')
    missions.start('bare').annotate({ first: true })
    t.strictSame(missions.list().missions[0]!.metadata, { first: true })
  })

  t.test('keeps existing metadata if the added object cannot be read', async (t) => {
    const { missions } = build()
    const mission = missions.start({ name: 'job', metadata: { rows: 1 } })
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    for (const added of [{ get x () { throw new Error('secret') } }, { n: 1n }, cycle, { toJSON () { throw new Error('secret') } }]) {
      mission.annotate(added)
      t.strictSame(mission.metadata, { rows: 1, unserializable: true })
    }
    mission.annotate({ toJSON: () => 'text' })
    mission.annotate(null as never)
    t.strictSame(mission.metadata, { rows: 1, unserializable: true })
  })

  t.test('changes nothing after the end, even if reading the object ended the mission', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    mission.annotate({ get x () { return mission.complete().applied } })
    mission.annotate({ late: true })
    t.equal(mission.metadata, null)
    t.strictSame(statusesOf(updates), ['planning_started', 'completed'])
  })

  t.test('exposes metadata only as copies', async (t) => {
    const { missions } = build()
    const mission = missions.start({ name: 'job', metadata: { deep: { x: 1 } } });
    (mission.metadata as { deep: { x: number } }).deep.x = 2;
    (mission.view().metadata as { deep: { x: number } }).deep.x = 3
    t.strictSame(mission.metadata, { deep: { x: 1 } })
  })
})

t.test('heartbeat counts as activity and emits nothing', async (t) => {
  const { missions, updates, clock } = build({ stallMs: 1_000 })
  const mission = missions.start('job')
  for (let i = 0; i < 5; i++) {
    clock.advance(900)
    mission.heartbeat()
  }
  t.equal(updates.length, 1)
  t.equal(mission.isStalled, false)
  clock.advance(1_000)
  t.equal(mission.isStalled, true)
  mission.complete()
  mission.heartbeat()
  t.strictSame(statusesOf(updates), ['planning_started', 'planning_started', 'completed'])
})

t.test('waiting', async (t) => {
  t.test('pauses the stall timer until the next activity', async (t) => {
    const { missions, clock, updates } = build({ stallMs: 1_000 })
    const mission = missions.start('job')
    mission.waiting('for the approval of ann')
    t.match(updates.at(-1), { waiting: 'for the approval of ann', status: 'planning_started' })
    clock.advance(10_500)
    t.match(mission.view(), { stalled: false, waiting: 'for the approval of ann' })
    mission.heartbeat()
    t.equal('waiting' in updates.at(-1)!, false)
    clock.advance(999)
    t.equal(mission.isStalled, false)
    clock.advance(1)
    t.equal(mission.isStalled, true, 'the timer restarts from the activity')
  })

  t.test('ends with any report, applied or not', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    mission.waiting('x')
    mission.executionStarted()
    t.equal(mission.view().waiting, null)
    t.equal('waiting' in updates.at(-1)!, false)
    clock.advance(100)
    mission.waiting('y')
    clock.advance(100)
    t.equal(updates.at(-1)!.waiting, 'y')
    t.strictSame(mission.planned(), { applied: false, reason: 'backward' })
    t.equal('waiting' in updates.at(-1)!, false)
  })

  t.test('with another reason emits one update', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    mission.waiting('for a')
    clock.advance(100)
    mission.waiting('for b')
    clock.advance(100)
    t.strictSame(updates.map(({ waiting }) => waiting), [undefined, 'for a', 'for b'])
  })

  t.test('cuts a reason of more than 256 characters, and is ignored after the end', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    mission.waiting('x'.repeat(300))
    t.equal(mission.view().waiting, `${'x'.repeat(255)}…`)
    mission.complete()
    mission.waiting('late')
    t.equal(mission.view().waiting, null)
  })
})

t.test('extendTimeout', async (t) => {
  t.test('moves the time-out to the given time from now', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start({ name: 'job', timeoutMs: 1_000 })
    clock.advance(900)
    mission.extendTimeout(500)
    clock.advance(499)
    t.equal(mission.view().cancel, null)
    clock.advance(1)
    t.match(mission.view().cancel, { kind: 'timeout' })
  })

  t.test('adds a time-out to a mission without one, and may shorten it', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start('job')
    mission.extendTimeout(5_000)
    mission.extendTimeout(10)
    clock.advance(10)
    t.match(mission.view().cancel, { kind: 'timeout' })
  })

  t.test('rejects an invalid time, and changes nothing after the end', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start('job')
    for (const ms of [0, -1, 1.5, NaN, Infinity, 2 ** 31, '5' as never]) {
      t.throws(() => mission.extendTimeout(ms), { code: 'FST_MC_INVALID_MISSION' })
    }
    mission.complete()
    mission.extendTimeout(1)
    clock.advance(10)
    t.equal(mission.view().cancel, null)
  })
})

t.test('log is created once, on first use, with the id of the mission', async (t) => {
  const { missions, logged } = build()
  const mission = missions.start('job')
  t.strictSame(logged, [])
  mission.log.info('one')
  mission.log.info('two')
  t.strictSame(logged, [mission.id])
})

t.test('signal', async (t) => {
  t.test('is always the same object and aborts with the cancel request as its reason', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    const { signal } = mission
    t.equal(mission.signal, signal)
    mission.cancel({ reason: 'enough', by: 'ann' })
    t.ok(signal.reason instanceof CancelledError)
    t.match(signal.reason, { name: 'CancelledError', code: 'FST_MC_CANCELLED', cancel: { kind: 'request', reason: 'enough', by: 'ann' } })
  })

  t.test('is already aborted if it is first read after the cancel request', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    mission.cancel()
    t.ok(mission.signal.aborted)
    t.match(mission.signal.reason, { code: 'FST_MC_CANCELLED', cancel: { kind: 'request' } })
  })

  t.test('does not abort when a mission ends by itself', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    const { signal } = mission
    mission.complete()
    t.equal(signal.aborted, false)
  })
})

t.test('done', async (t) => {
  t.test('resolves with the outcome, read before or after the end', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start('job')
    const { done } = mission
    t.equal(mission.done, done)
    t.equal(mission.outcome, undefined)
    clock.advance(1_500)
    mission.fail(new Error('it broke'))
    const outcome = { id: mission.id, attempt: 1, status: 'error', error: { code: 'error', message: 'it broke' }, cancel: null, durationMs: 1_500 }
    t.strictSame({ ...await done }, outcome)
    t.strictSame({ ...mission.outcome }, outcome)
    const other = missions.start('other')
    other.complete()
    t.match(await other.done, { status: 'completed', error: null })
  })

  t.test('is not affected by a listener of onEnd that throws', async (t) => {
    const { missions, failures } = build()
    const mission = missions.start('job')
    mission.onEnd(() => { throw new Error('thrown') })
    const { done } = mission
    t.strictSame(mission.complete(), { applied: true })
    t.match(await done, { status: 'completed' })
    t.match(failures, [['mission_listener', { message: 'thrown' }]])
  })

  t.test('resolves with a frozen outcome; cancel is frozen in updates too', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    mission.cancel({ reason: 'enough' })
    mission.report('cancelled', { error: { code: 'x', message: 'y' } })
    const outcome = await mission.done
    const { cancel } = updates.at(-1)!
    for (const frozen of [outcome, outcome.error, outcome.cancel, cancel]) {
      t.throws(() => { Object.assign(frozen!, { reason: 'other', message: 'other', status: 'other' }) }, TypeError)
    }
    t.match(mission.view(), { status: 'cancelled', error: { message: 'y' }, cancel: { reason: 'enough' } })
  })
})

t.test('onEnd', async (t) => {
  t.test('calls its listeners with the outcome, except those that were removed', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    const outcomes: unknown[] = []
    mission.onEnd((outcome) => outcomes.push(outcome))
    mission.onEnd(() => t.fail('was removed'))()
    mission.complete()
    mission.onEnd(() => t.fail('was added after the end'))
    t.strictSame(outcomes, [mission.outcome])
  })

  t.test('calls every listener, and counts and logs one that throws or rejects', async (t) => {
    const lines: Array<Record<string, unknown>> = []
    const stream = { write: (line: string) => { lines.push(JSON.parse(line) as Record<string, unknown>) } }
    const app = await boot(t, {}, { logger: { level: 'debug', stream } })
    const mission = app.missions.start('job')
    const outcomes: unknown[] = []
    mission.onEnd(async () => { throw new Error('rejected') })
    mission.onEnd(() => { throw new Error('thrown') })
    mission.onEnd((outcome) => outcomes.push(outcome))
    t.strictSame(await uncaught(async () => { t.strictSame(mission.complete(), { applied: true }) }), [])
    t.strictSame(outcomes, [mission.outcome])
    const { body } = await app.missionControl.metrics.render()
    t.match(body, /^mission_control_callback_errors_total\{callback="mission_listener"\} 2$/m)
    const failures = lines.filter(({ callback }) => callback === 'mission_listener')
    t.match(failures, [{ level: 40, err: { message: 'thrown' } }, { level: 20, err: { message: 'rejected' } }])
  })
})
