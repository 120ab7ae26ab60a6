import { once } from 'node:events'
import fc from 'fast-check'
import t from 'tap'
import { createMissionUpdateChannel } from '../lib/channels/mission-update.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { DeadlineQueue, type Deadline } from '../lib/missions/lifetime/deadline-queue.js'
import { Endings, toUpdate, type Mission } from '../lib/missions/index.js'
import type { MissionStatus, MissionUpdate } from '../schemas/index.js'
import { boot, uncaught } from './support/app.js'
import { connect } from './support/client.js'
import { build, createCountingClock, defer, findStreamFaults, settle, type Deferred, type Stand } from './support/missions.js'

const PHASES: Array<[phase: string, reach: (mission: Mission) => void]> = [
  ['planning has started', () => {}],
  ['its tasks are known', (mission) => mission.tasksGenerated(['a'])],
  ['it is planned', (mission) => mission.planned({})],
  ['execution has started', (mission) => mission.executionStarted()],
  ['it makes progress', (mission) => mission.progress({ taskId: 'a', index: 1, total: 9, status: 'running' })]
]

const progressOf = (index: number) => ({ taskId: `task ${index}`, index, total: 1_000, status: 'running' })

/** Work that never ends and ignores its signal. */
const stubborn = async () => { await new Promise(() => {}) }

/** Work that ends when its signal aborts. */
const obedient = async ({ signal }: Mission) => {
  signal.throwIfAborted()
  await new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)) })
}

t.test('cancel', async (t) => {
  t.test('returns the result of the request', async (t) => {
    const { missions } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    t.equal(missions.cancel('unknown', { reason: 'x' }), 'not_found')
    t.equal(missions.cancel('a', { reason: 'enough', by: 'ann' }), 'requested')
    t.equal(missions.cancel('a'), 'already_requested')
    t.equal(mission.cancel({ reason: 'other' }), 'already_requested')
    t.match(mission.view().cancel, { requested: true, kind: 'request', reason: 'enough', by: 'ann' }, 'the first request is kept')
    mission.report('cancelled')
    t.equal(missions.cancel('a'), 'terminal')
    t.equal(mission.cancel(), 'terminal')
  })

  for (const [phase, reach] of PHASES) {
    t.test(`while ${phase} keeps the status, emits one update and aborts the signal`, async (t) => {
      const { missions, updates } = build()
      const mission = missions.start('job')
      reach(mission)
      const { status } = mission
      const before = updates.length
      t.equal(mission.cancel({ reason: 'enough' }), 'requested')
      t.equal(mission.status, status)
      t.equal(updates.length, before + 1)
      t.match(updates.at(-1), { status, cancel: { requested: true, kind: 'request', reason: 'enough', by: null } })
      t.ok(mission.signal.aborted)
    })
  }

  t.test('forces a mission that has not ended within cancelGraceMs', async (t) => {
    const { missions, updates, clock, registry } = build()
    const mission = missions.spawn({ id: 'a', name: 'job' }, stubborn)
    mission.cancel({ reason: 'enough', by: 'ann' })
    clock.advance(9_999)
    t.equal(mission.isTerminal, false)
    t.equal(registry.find(mission.id)!.isForced, false)
    clock.advance(1)
    const cancel = { requested: true, kind: 'request', reason: 'enough', by: 'ann', forced: true }
    t.strictSame(updates.at(-1), {
      missionId: 'a',
      status: 'cancelled',
      previousStatus: 'planning_started',
      name: 'job',
      seq: 3,
      cancel,
      endedAt: mission.startedAt + 10_000,
      durationMs: 10_000
    })
    t.match(await mission.done, { status: 'cancelled', cancel, error: null })
    t.equal(registry.find(mission.id)!.isForced, true)
    t.match(missions.stats(), { active: 0, cancelled: 1, total: 1 })
  })

  t.test('does not force a mission that ends within its grace period', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.spawn('job', obedient)
    mission.cancel()
    await mission.done
    t.match(updates.at(-1), { status: 'cancelled', cancel: { kind: 'request' } })
    t.equal(updates.at(-1)!.cancel!.forced, undefined)
    clock.advance(20_000)
    t.equal(updates.length, 3)
    t.match(mission.view(), { lateOutcome: null })
  })

  t.test('counts and keeps the later outcome of a forced function', async (t) => {
    const endings: Array<[MissionStatus, (gate: Deferred, mission: Mission) => void]> = [
      ['completed', (gate) => gate.resolve()],
      ['error', (_gate, mission) => mission.fail(new Error('own'))]
    ]
    for (const [lateOutcome, end] of endings) {
      const { missions, updates, clock } = build({ cancelGraceMs: 50 })
      const gate = defer()
      const mission = missions.spawn('job', () => gate.promise)
      mission.cancel()
      clock.advance(50)
      const before = updates.length
      end(gate, mission)
      await settle()
      t.match(mission.view(), { status: 'cancelled', lateOutcome, error: null })
      t.equal(missions.stats().lateOutcomes, 1)
      t.equal(updates.length, before, 'a late outcome is not emitted')
      mission.complete()
      t.match(mission.view(), { lateOutcome }, 'the first late outcome is kept')
      t.equal(missions.stats().lateOutcomes, 2)
    }
  })

  t.test('is required before a mission can be forced', async (t) => {
    const { missions, registry } = build()
    const mission = missions.start('job')
    registry.find(mission.id)!.force()
    t.equal(mission.isTerminal, false)
    mission.cancel()
    registry.find(mission.id)!.force()
    registry.find(mission.id)!.force()
    t.match(missions.stats(), { cancelled: 1, total: 1 })
  })

  t.test('emits delayed progress and metadata with the request, and cuts its texts', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    mission.progress(progressOf(1))
    mission.progress(progressOf(2))
    mission.annotate({ rows: 3 })
    mission.cancel({ reason: 'r'.repeat(300), by: 'b'.repeat(200) })
    t.equal(updates.length, 3)
    const cancel = { reason: `${'r'.repeat(255)}…`, by: `${'b'.repeat(127)}…` }
    t.match(updates.at(-1), { status: 'execution_progress', progress: progressOf(2), metadata: { rows: 3 }, cancel })
  })

  t.test('cuts its texts between characters', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    mission.cancel({ reason: `${'r'.repeat(254)}😀😀`, by: `${'b'.repeat(125)}😀😀` })
    t.match(mission.view().cancel, { reason: `${'r'.repeat(254)}…`, by: `${'b'.repeat(125)}😀…` })
    const other = missions.start('other')
    other.waiting(`${'w'.repeat(254)}😀😀`)
    t.equal(other.view().waiting, `${'w'.repeat(254)}…`)
  })
})

t.test('cancelled', async (t) => {
  t.test('ends the mission as cancelled, with the reason as cancel.reason', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    const { signal } = mission
    t.strictSame(mission.cancelled('the customer withdrew'), { applied: true })
    const cancel = { requested: true, kind: 'request', reason: 'the customer withdrew', by: null }
    t.match(updates, [{ status: 'planning_started' }, { status: 'cancelled', previousStatus: 'planning_started' }])
    t.strictSame(updates[1]!.cancel, cancel)
    t.strictSame(mission.view().cancel, cancel)
    t.strictSame((await mission.done).cancel, cancel)
    t.equal(signal.aborted, false, 'nothing is left to abort')
    t.match(missions.stats(), { active: 0, cancelled: 1, total: 1 })
  })

  t.test('requests nothing: no signal aborts later, and a late child is not cancelled', async (t) => {
    for (const reason of [undefined, 'the customer withdrew']) {
      const { missions } = build()
      const mission = missions.start('job')
      mission.cancelled(reason)
      t.equal(mission.signal.aborted, false)
      t.equal(mission.child('late').view().cancel, null)
    }
  })

  t.test('leaves cancel null without a reason', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    t.strictSame(mission.cancelled(), { applied: true })
    t.match(mission.outcome, { status: 'cancelled', cancel: null, error: null })
    t.equal('cancel' in updates[1]!, false)
  })

  t.test('keeps the first cancel request', async (t) => {
    for (const kind of ['request', 'timeout'] as const) {
      const { missions, clock } = build()
      const mission = missions.start({ name: 'job', timeoutMs: 1_000 })
      if (kind === 'request') mission.cancel({ by: 'ann' })
      else clock.advance(1_000)
      const requested = mission.view().cancel
      t.strictSame(mission.cancelled('stopped'), { applied: true })
      t.strictSame(mission.view().cancel, requested, kind)
    }
  })

  t.test('rejects a reason that is not a string, and changes nothing', async (t) => {
    const { missions, updates } = build({ stallMs: 1_000 })
    const mission = missions.start('job')
    for (const reason of [null, 5, {}, ['x'], new Error('x')] as never[]) {
      t.throws(() => mission.cancelled(reason), { code: 'FST_MC_INVALID_MISSION', message: /reason must be text/ })
    }
    t.match(mission.view(), { status: 'planning_started', cancel: null, seq: 1 })
    t.equal(updates.length, 1)
    mission.complete()
    t.strictSame(mission.cancelled(5 as never), { applied: false, reason: 'terminal' }, 'an ended mission refuses nothing')
    t.match(missions.stats(), { completed: 1, lateOutcomes: 1 })
  })

  t.test('after the end is a late outcome and does not add a reason', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    mission.complete()
    t.strictSame(mission.cancelled('too late'), { applied: false, reason: 'terminal' })
    t.match(mission.view(), { status: 'completed', cancel: null, lateOutcome: 'cancelled' })
    t.equal(missions.stats().lateOutcomes, 1)
    t.equal(updates.length, 2)
  })

  t.test('cuts a long reason to 256 characters', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    mission.cancelled(`${'r'.repeat(254)}😀😀`)
    t.equal(mission.view().cancel!.reason, `${'r'.repeat(254)}…`)
  })
})

t.test('a time-out', async (t) => {
  for (const [phase, reach] of PHASES) {
    t.test(`requests the end while ${phase}, and forces it after the grace period`, async (t) => {
      const { missions, updates, clock } = build()
      const mission = missions.start({ id: 'a', name: 'job', timeoutMs: 1_000 })
      const { signal } = mission
      reach(mission)
      const { status } = mission
      clock.advance(999)
      t.equal(mission.view().cancel, null)
      clock.advance(1)
      t.match(updates.at(-1), { status, cancel: { requested: true, kind: 'timeout', by: null } })
      t.match(signal.reason, { code: 'FST_MC_CANCELLED', cancel: { kind: 'timeout' } })
      clock.advance(10_000)
      t.match(updates.at(-1), { status: 'cancelled', cancel: { kind: 'timeout', forced: true }, durationMs: 11_000 })
    })
  }

  t.test('is not postponed by activity', async (t) => {
    const { missions, clock } = build({ timeoutMs: 1_000 })
    const mission = missions.start('job')
    for (let i = 1; i <= 9; i++) {
      clock.advance(100)
      mission.progress(progressOf(i))
      mission.heartbeat()
      mission.annotate({ i })
      mission.waiting('x')
    }
    t.equal(mission.view().cancel, null)
    clock.advance(100)
    t.match(mission.view().cancel, { kind: 'timeout' })
  })

  t.test('is off by default, and that of a mission overrides the option', async (t) => {
    const { missions, clock } = build({ stallMs: 2_147_483_647 })
    const free = missions.start('free')
    clock.advance(1_000_000_000)
    t.equal(free.view().cancel, null)
    const { missions: others, clock: time } = build({ timeoutMs: 1_000 })
    const own = others.start({ name: 'own', timeoutMs: 5_000 })
    others.report('by-id', 'execution_started')
    time.advance(1_000)
    t.equal(own.view().cancel, null)
    t.match(others.get('by-id')!.view().cancel, { kind: 'timeout' })
    time.advance(4_000)
    t.match(own.view().cancel, { kind: 'timeout' })
  })

  t.test('does not affect a mission that was cancelled or has ended before', async (t) => {
    const { missions, updates, clock } = build()
    const asked = missions.start({ name: 'asked', timeoutMs: 1_000 })
    const ended = missions.start({ name: 'ended', timeoutMs: 1_000 })
    clock.advance(500)
    asked.cancel()
    ended.complete()
    clock.advance(1_000)
    t.match(asked.view().cancel, { kind: 'request' })
    t.equal(ended.view().cancel, null)
    t.equal(updates.length, 4)
  })
})

t.test('a stall', async (t) => {
  const stalled = (options: Parameters<typeof build>[0] = {}): Stand & { mission: Mission } => {
    const stand = build({ stallMs: 1_000, ...options })
    const mission = stand.missions.start({ id: 'a', name: 'job' })
    mission.executionStarted()
    stand.clock.advance(1_000)
    return { ...stand, mission }
  }

  t.test('is flagged once, in updates, views, lists and totals', async (t) => {
    const { missions, mission, updates, clock } = stalled()
    missions.start({ id: 'active', name: 'active' })
    t.match(updates.at(2), { missionId: 'a', status: 'execution_started', stalled: true })
    t.equal(mission.view().stalled, true)
    t.strictSame(missions.list({ stalled: true }).missions.map(({ id }) => id), ['a'])
    t.strictSame(missions.list({ stalled: false }).missions.map(({ name }) => name), ['active'])
    t.equal(missions.stats().stalled, 1)
    for (let i = 0; i < 10; i++) {
      clock.advance(500)
      missions.get('active')!.heartbeat()
    }
    t.equal(updates.length, 4, 'a stall that goes on is not emitted again')
    t.equal(missions.stats().stalled, 1)
  })

  const activities: Array<[title: string, act: (mission: Mission) => unknown]> = [
    ['progress', (mission) => mission.progress(progressOf(1))],
    ['a repeated report', (mission) => mission.executionStarted()],
    ['a report of an earlier status', (mission) => mission.planned()],
    ['a heartbeat', (mission) => mission.heartbeat()],
    ['an annotation', (mission) => mission.annotate({ a: 1 })],
    ['waiting', (mission) => mission.waiting('for x')],
    ['a task', async (mission) => { await mission.task('a', () => {}) }],
    ['the end', (mission) => mission.complete()]
  ]
  for (const [title, act] of activities) {
    t.test(`is cleared by ${title}, with one update`, async (t) => {
      const { missions, mission, updates } = stalled()
      act(mission)
      t.equal(mission.view().stalled, false)
      t.equal(missions.stats().stalled, 0)
      t.equal(updates.length, 4)
      t.equal(updates.at(-1)!.stalled, undefined)
    })
  }

  t.test('is flagged again after another period without activity', async (t) => {
    const { mission, updates, clock } = stalled()
    clock.advance(300)
    mission.heartbeat()
    clock.advance(999)
    t.equal(mission.isStalled, false)
    clock.advance(1)
    t.equal(mission.isStalled, true)
    t.equal(updates.filter((update) => update.stalled === true).length, 2)
  })

  t.test('requests the end with onStall: cancel', async (t) => {
    const { mission, updates, clock } = stalled({ onStall: 'cancel' })
    t.match(mission.view().cancel, { kind: 'stall' })
    t.match(updates.at(-1), { status: 'execution_started', stalled: true, cancel: { kind: 'stall' } })
    clock.advance(10_000)
    t.match(mission.view(), { status: 'cancelled', stalled: false, cancel: { kind: 'stall', forced: true } })
  })

  t.test('ends the mission as error with onStall: error, and aborts the signal', async (t) => {
    const { missions, clock, updates } = build({ stallMs: 1_000, onStall: 'error' })
    const mission = missions.spawn('job', obedient)
    const { signal } = mission
    clock.advance(1_000)
    t.match(updates.at(-1), { status: 'error', errorCode: 'stalled' })
    t.match(signal.reason, { code: 'FST_MC_CANCELLED', cancel: { kind: 'stall' } })
    t.equal(mission.signal, signal, 'the signal stays the same object')
    await settle()
    t.match(mission.view(), { status: 'error', error: { code: 'stalled' }, stalled: false, lateOutcome: 'cancelled' })
    t.match(missions.stats(), { errors: 1, stalled: 0, lateOutcomes: 1, total: 1 })
  })

  t.test('that ends a mission aborts its signal even if the signal is first read afterwards', async (t) => {
    const { missions, clock } = build({ stallMs: 1_000, onStall: 'error' })
    const mission = missions.start('job')
    clock.advance(1_000)
    t.match(mission.signal.reason, { code: 'FST_MC_CANCELLED', cancel: { kind: 'stall' } })
  })

  t.test('of a mission with a cancel request is flagged and does not shorten the grace period', async (t) => {
    for (const onStall of ['cancel', 'error'] as const) {
      const { missions, clock } = build({ stallMs: 1_000, onStall })
      const mission = missions.start('job')
      mission.cancel({ reason: 'enough' })
      clock.advance(9_999)
      t.match(mission.view(), { status: 'planning_started', stalled: true, cancel: { kind: 'request', reason: 'enough' } })
      clock.advance(1)
      t.match(mission.view(), { status: 'cancelled', stalled: false, cancel: { forced: true }, error: null })
    }
  })

  t.test('does not end a mission that a listener of the stall woke or ended', async (t) => {
    for (const onStall of ['cancel', 'error'] as const) {
      for (const act of ['heartbeat', 'complete'] as const) {
        const { missions, clock, updates } = build({ stallMs: 1_000, onStall })
        const mission = missions.start('job')
        missions.on('mission_update', ({ stalled }) => { if (stalled === true) mission[act]() })
        clock.advance(1_000)
        const status = act === 'complete' ? 'completed' : 'planning_started'
        t.match(mission.view(), { status, cancel: null, stalled: false, lateOutcome: null })
        t.match(missions.stats(), { stalled: 0, lateOutcomes: 0 })
        t.strictSame(findStreamFaults(updates), [])
      }
    }
  })

  t.test('is detected for start times with fractions of a millisecond', async (t) => {
    const { missions, clock } = build({ stallMs: 300_000 })
    // Start times for which floating-point rounding makes `start + stallMs - start` smaller than `stallMs`.
    const starts = Array.from({ length: 1_000 }, (_, i) => i * 977.1 + 0.1).filter((start) => start + 300_000 - start < 300_000)
    t.ok(starts.length > 50)
    const begun = starts.slice(0, 50).map((start) => {
      clock.advance(start - clock.monotonic())
      return missions.start('job')
    })
    clock.advance(300_001)
    t.ok(begun.every(({ isStalled }) => isStalled))
  })
})

t.test('many missions', async (t) => {
  t.test('share one timer for all their deadlines', async (t) => {
    const { missions, clock } = build({ timeoutMs: 60_000, stallMs: 1_000, endedRetentionMs: 5_000 })
    const all = Array.from({ length: 500 }, (_, i) => missions.start({ id: `m${i}`, name: 'job', timeoutMs: 30_000 + i }))
    for (const [i, mission] of all.entries()) {
      mission.progress(progressOf(1))
      mission.progress(progressOf(2))
      if (i % 3 === 0) mission.cancel()
      if (i % 5 === 0) mission.complete()
      if (i % 7 === 0) mission.extendTimeout(5_000)
      clock.advance(1)
    }
    const waits = all.slice(0, 50).map((mission) => missions.waitFor(mission.id, { timeoutMs: 100 }).catch((err) => err))
    clock.advance(100_000)
    await Promise.all(waits)
    t.match(missions.stats(), { active: 0, completed: 100, cancelled: 400 })
    t.equal(clock.mostRunning, 1)
  })

  t.test('leave no timer running after they have ended', async (t) => {
    const { missions, clock } = build({ maxEnded: 0 })
    for (const end of ['complete', 'fail'] as const) {
      const mission = missions.start({ name: 'job', timeoutMs: 1_000 })
      mission.extendTimeout(2_000)
      mission.progress(progressOf(1))
      mission.progress(progressOf(2))
      mission[end](new Error('x'))
      const asked = missions.start({ name: 'job', timeoutMs: 1_000 })
      asked.cancel()
      asked[end](new Error('x'))
      t.equal(clock.running, 0)
    }
  })

  t.test('get each deadline on time, whichever other deadlines are cancelled', async () => {
    const act = fc.record({ kind: fc.constantFrom('after', 'after', 'after', 'cancel', 'cancel', 'advance'), n: fc.nat(1_000) })
    fc.assert(fc.property(fc.array(act, { maxLength: 200, size: 'max' }), (acts) => {
      const clock = createCountingClock()
      const deadlines = new DeadlineQueue(clock)
      const open: Deadline[] = []
      const faults: string[] = []
      const set = (ms: number) => {
        const deadline = deadlines.after(ms, () => {
          const at = open.indexOf(deadline)
          if (at < 0) faults.push('fired after it was cancelled, or twice')
          else open.splice(at, 1)
          if (clock.monotonic() !== deadline.at) faults.push(`fired at ${clock.monotonic()}, not ${deadline.at}`)
        })
        open.push(deadline)
      }
      for (const { kind, n } of acts) {
        if (kind === 'after') set(n)
        if (kind === 'cancel' && open.length > 0) open.splice(n % open.length, 1)[0]!.cancel()
        if (kind === 'advance') clock.advance(n % 300)
        if (open.some(({ at }) => at < clock.monotonic())) faults.push('did not fire')
      }
      clock.advance(1_000)
      return faults.length === 0 && open.length === 0 && clock.running === 0
    }), { numRuns: 300 })
  })
})

t.test('a listener', async (t) => {
  t.test('that ends a mission on its last progress does not make it end twice', async (t) => {
    const endings: Array<(stand: Stand, mission: Mission) => void> = [
      (_stand, mission) => mission.complete(),
      (_stand, mission) => mission.fail(new Error('x')),
      ({ registry }, mission) => { mission.cancel(); registry.find(mission.id)!.force() },
      ({ clock }) => clock.advance(20_000),
      ({ missions }, mission) => missions.report(mission.id, 'cancelled')
    ]
    for (const end of endings) {
      const stand = build({ timeoutMs: 5_000 })
      const { missions, updates } = stand
      const mission = missions.start('job')
      mission.progress(progressOf(1))
      mission.progress(progressOf(2))
      missions.on('mission_update', ({ progress }) => { if (progress?.index === 2) mission.complete() })
      end(stand, mission)
      t.equal(mission.status, 'completed')
      t.match(missions.stats(), { active: 0, completed: 1, cancelled: 0, errors: 0, total: 1 })
      t.strictSame(findStreamFaults(updates), [])
    }
  })

  t.test('that ends a mission on its last progress prevents it from being forced', async (t) => {
    const { missions, updates, registry } = build()
    const mission = missions.start('job')
    mission.cancel()
    mission.progress(progressOf(1))
    mission.progress(progressOf(2))
    missions.on('mission_update', ({ progress }) => { if (progress?.index === 2) mission.complete() })
    registry.find(mission.id)!.force()
    t.match(mission.view(), { status: 'completed', lateOutcome: null })
    t.equal(mission.view().cancel!.forced, undefined)
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('that reports during an update does not change the order for other listeners', async (t) => {
    const { missions } = build({}, { isQuiet: true })
    missions.on('mission_update', ({ missionId, status }) => {
      const mission = missions.get(missionId)!
      if (status === 'planning_started') mission.executionStarted()
      if (status === 'execution_started') mission.complete()
    })
    const received: MissionUpdate[] = []
    missions.on('mission_update', (update) => { received.push(update) })
    missions.start('a')
    missions.start('b')
    t.strictSame(findStreamFaults(received), [])
    const statuses = ['planning_started', 'execution_started', 'completed']
    t.strictSame(received.map(({ status }) => status), [...statuses, ...statuses])
  })

  t.test('that reports progress for each progress receives the last one before the ending', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    missions.on('mission_update', ({ progress }) => {
      if (progress !== undefined) mission.progress(progressOf(progress.index + 1))
    })
    mission.progress(progressOf(1))
    mission.complete()
    clock.advance(1_000)
    t.strictSame(findStreamFaults(updates), [])
    t.match(updates.at(-1), { status: 'completed', progress: mission.view().progress })
  })

  t.test('that throws or rejects is counted and affects neither the mission nor other listeners', async (t) => {
    const { missions, updates, failures } = build({}, {})
    missions.on('mission_update', () => { throw new Error('thrown') })
    const caught = await uncaught(async () => {
      missions.on('mission_update', async () => { throw new Error('rejected') })
      t.equal(await missions.run('job', () => 1), 1)
    })
    t.strictSame(caught, [])
    t.equal(updates.length, 2)
    t.strictSame(failures.map(([where]) => where), Array(4).fill('mission_listener'))
  })
})

t.test('mission_ended', async (t) => {
  t.test('is emitted once per mission with its handle, after the update with the ending', async (t) => {
    const { missions } = build()
    const events: Array<[event: string, id: string]> = []
    missions.on('mission_ended', (mission) => {
      t.ok(mission.isTerminal)
      t.equal(mission, missions.get(mission.id))
      events.push(['ended', mission.id])
    })
    missions.on('mission_update', ({ missionId, status }) => {
      events.push([status, missionId])
      if (missionId === 'a' && status === 'completed') missions.get('b')!.fail('broken')
    })
    for (const id of ['a', 'b']) missions.start({ id, name: 'job' })
    missions.get('a')!.complete()
    missions.get('a')!.fail('late')
    t.strictSame(events.slice(2), [['completed', 'a'], ['ended', 'a'], ['error', 'b'], ['ended', 'b']])
  })

  t.test('is emitted without update listeners, for which nothing is built', async (t) => {
    const { missions } = build({ serializers: { planningSession: () => t.fail('was serialized') } }, { isQuiet: true })
    const ended: Mission[] = []
    const off = missions.on('mission_ended', (mission) => { ended.push(mission) })
    const mission = missions.start('job')
    mission.planned({ steps: 1 })
    mission.complete()
    t.strictSame(ended, [mission])
    t.equal(mission.view().seq, 0)
    off()
    missions.start('other').complete()
    t.equal(ended.length, 1)
  })

  t.test('does not end the process if a listener throws or rejects; both are counted', async (t) => {
    const { missions, failures } = build({}, { isQuiet: true })
    const ended: string[] = []
    missions.on('mission_ended', () => { throw new Error('thrown') })
    missions.on('mission_ended', async () => { throw new Error('rejected') })
    missions.on('mission_ended', ({ status }) => { ended.push(status) })
    t.strictSame(await uncaught(async () => { missions.start('job').cancelled() }), [])
    t.strictSame(ended, ['cancelled'])
    t.match(failures, [['mission_listener', { message: 'thrown' }], ['mission_listener', { message: 'rejected' }]])
  })
})

t.test('the offset of an ending', async (t) => {
  const createChannel = ({ registry, clock }: Stand) => {
    const all = new Endings({ clock, max: 100, maxAgeMs: 1_000, keepsSubjects: false })
    registry.updates.onEnded((mission, update) => all.put(mission, update))
    const endings = all.of()
    const channel = createMissionUpdateChannel({
      clock,
      feed: registry.queries.feed,
      toSnapshot: (mission) => toUpdate(mission),
      endings: () => endings
    })
    return { channel, endings }
  }
  /** Starts the channel of a registry; `log` receives the published updates, the one with offset 1 first. */
  const subscribe = (stand: Stand, log: MissionUpdate[]) => {
    const { channel, endings } = createChannel(stand)
    channel.start((update) => log.push(update), 0)
    return endings
  }
  const endingsOf = (log: readonly MissionUpdate[]) => log
    .flatMap(({ missionId, endedAt }, at) => endedAt === undefined ? [] : [[missionId, at + 1]])
  const offsetsIn = (endings: ReturnType<Endings['of']>, upTo: number) => Array.from({ length: upTo }, (_, at) => at)
    .flatMap((at) => endings.between(at, at + 1).map(({ id }) => [id, at + 1]))

  t.test('is that of its own message, even if a listener ends another mission in between', async (t) => {
    for (const isFirst of [true, false]) {
      const stand = build({}, { isQuiet: true })
      const { missions } = stand
      const listen = () => missions.on('mission_update', ({ missionId, status }) => {
        if (missionId === 'a' && status === 'completed') missions.get('b')!.complete()
        if (missionId === 'b' && status === 'completed') missions.start({ id: 'c', name: 'job' }).fail('broken')
      })
      const log: MissionUpdate[] = []
      if (isFirst) listen()
      const endings = subscribe(stand, log)
      if (!isFirst) listen()
      for (const id of ['a', 'b']) missions.start({ id, name: 'job' })
      missions.get('a')!.complete()
      t.strictSame(log.map(({ missionId, status }) => `${missionId} ${status}`),
        ['a planning_started', 'b planning_started', 'a completed', 'b completed', 'c planning_started', 'c error'])
      t.strictSame(offsetsIn(endings, log.length), [['a', 3], ['b', 4], ['c', 6]])
    }
  })

  t.test('is the offset at which the channel starts for missions that ended before', async (t) => {
    const stand = build({}, { isQuiet: true })
    const { missions } = stand
    for (const id of ['a', 'b']) missions.start({ id, name: 'job' })
    const { channel, endings } = createChannel(stand)
    missions.on('mission_ended', ({ id }) => {
      if (id !== 'a') return
      // The ending of b is emitted after this listener, without an update: there was no update listener when b ended.
      missions.get('b')!.complete()
      channel.start(() => { t.fail('was published'); return undefined }, 7)
    })
    missions.get('a')!.complete()
    t.strictSame(endings.between(6, 7).map(({ id }) => id), ['a', 'b'])
  })

  t.test('is that of its own message for any reports of any listener', async () => {
    const act = fc.record({ kind: fc.constantFrom('start', 'progress', 'cancel', 'end', 'advance'), at: fc.nat(6) })
    const acts = fc.array(act, { maxLength: 40 })
    fc.assert(fc.property(acts, acts, fc.boolean(), (calls, reactions, isFirst) => {
      const stand = build({ timeoutMs: 300, cancelGraceMs: 100 }, { isQuiet: true })
      const { missions, clock } = stand
      let index = 0
      const run = ({ kind, at }: { kind: string, at: number }) => {
        const mission = missions.get(`m${at}`)
        if (kind === 'start' && mission === undefined) missions.start({ id: `m${at}`, name: 'job' })
        if (kind === 'progress') mission?.progress(progressOf(++index))
        if (kind === 'cancel') mission?.cancel()
        if (kind === 'end') mission?.cancelled('enough')
        if (kind === 'advance') clock.advance(at * 20)
      }
      const log: MissionUpdate[] = []
      const open = [...reactions]
      const listen = () => missions.on('mission_update', () => {
        const reaction = open.pop()
        if (reaction !== undefined && reaction.kind !== 'advance') run(reaction)
      })
      if (isFirst) listen()
      const endings = subscribe(stand, log)
      if (!isFirst) listen()
      for (const call of calls) run(call)
      return JSON.stringify(offsetsIn(endings, log.length)) === JSON.stringify(endingsOf(log))
    }), { numRuns: 300 })
  })
})

t.test('shutdown', async (t) => {
  t.test('requests the end of every active mission, children included, with kind shutdown', async (t) => {
    const { missions, clock, registry } = build()
    const parent = missions.spawn('parent', obedient)
    const child = parent.child('child')
    const asked = missions.spawn('asked', obedient)
    asked.cancel({ reason: 'before' })
    const ended = missions.start('ended')
    ended.complete()
    const closing = registry.shutdown()
    await settle()
    t.match(child.view(), { status: 'planning_started', cancel: { kind: 'shutdown' } })
    clock.advance(5_000)
    await closing
    t.match(parent.view(), { status: 'cancelled', cancel: { kind: 'shutdown', reason: 'The service is closing' } })
    t.match(child.view(), { status: 'cancelled', cancel: { kind: 'shutdown' } })
    t.match(asked.view(), { status: 'cancelled', cancel: { kind: 'request', reason: 'before' } })
    t.match(ended.view(), { status: 'completed', cancel: null })
  })

  t.test('waits for the last mission, for at most closeGraceMs', async (t) => {
    for (const closeGraceMs of [5_000, 60_000]) {
      const { missions, clock, registry } = build({ closeGraceMs })
      const slow = defer()
      const obeys = missions.spawn('obedient', obedient)
      const late = missions.spawn('late', () => slow.promise)
      const ignores = missions.spawn('stubborn', stubborn)
      let isOver = false
      const closing = registry.shutdown().then(() => { isOver = true })
      await settle()
      t.equal(obeys.status, 'cancelled')
      clock.advance(closeGraceMs - 1)
      slow.resolve()
      await settle()
      t.equal(late.status, 'completed')
      t.match(ignores.view(), { status: 'planning_started', cancel: { kind: 'shutdown' } })
      t.equal(isOver, false)
      clock.advance(1)
      await closing
      t.match(ignores.view(), { status: 'cancelled', cancel: { kind: 'shutdown', forced: true } })
    }
  })

  t.test('grants the grace period to missions without a function too', async (t) => {
    const { missions, clock, registry } = build()
    const reported = missions.start('reported')
    const silent = missions.start('silent')
    const closing = registry.shutdown()
    clock.advance(4_999)
    await settle()
    reported.complete()
    t.match(silent.view(), { status: 'planning_started', cancel: { kind: 'shutdown' } })
    clock.advance(1)
    await closing
    t.match(reported.view(), { status: 'completed', cancel: { kind: 'shutdown' } })
    t.match(silent.view(), { status: 'cancelled', cancel: { kind: 'shutdown', forced: true } })
  })

  t.test('resolves at once if no mission is active, and can be requested twice', async (t) => {
    const { clock, registry } = build()
    await registry.shutdown()
    const { missions: others, registry: otherRegistry } = build()
    const mission = others.spawn('job', obedient)
    await Promise.all([otherRegistry.shutdown(), otherRegistry.shutdown()])
    t.match(mission.view(), { status: 'cancelled' })
    t.equal(clock.running, 0)
  })

  t.test('includes missions that start during it, and rejects starts afterwards', async (t) => {
    const { missions, clock, registry } = build()
    missions.spawn('stubborn', stubborn)
    const closing = registry.shutdown()
    const late = missions.spawn('late', obedient)
    const started = missions.start('started')
    missions.report('by-id', 'execution_started')
    missions.report('at-once', 'completed')
    t.match(started.view().cancel, { kind: 'shutdown' })
    t.match(missions.get('by-id')!.view(), { status: 'execution_started', cancel: { kind: 'shutdown' } })
    t.match(missions.get('at-once')!.view(), { status: 'completed', cancel: null })
    t.match(await late.done, { status: 'cancelled', cancel: { kind: 'shutdown' } })
    clock.advance(5_000)
    await closing
    t.match(missions.stats(), { active: 0, total: 5 })
    t.throws(() => missions.start('later'), { code: 'FST_MC_CLOSING' })
    t.throws(() => missions.report('later', 'planned'), { code: 'FST_MC_CLOSING' })
    t.throws(() => missions.waiting('later', 'queued'), { code: 'FST_MC_CLOSING' })
    t.throws(() => started.retry(), { code: 'FST_MC_CLOSING' })
    for (const untracked of [started.child('later'), missions.spawn('later', stubborn)]) {
      t.match(untracked.view().cancel, { kind: 'shutdown' }, 'the work learns that it is late')
      t.match([untracked.isTracked, untracked.signal.aborted], [false, true])
    }
    await t.rejects(missions.run('later', obedient), { code: 'FST_MC_CANCELLED' })
    t.match(missions.stats(), { total: 5, untracked: 3 })
  })

  t.test('finishes even if the host replaces every mission that ends', async (t) => {
    const { missions, clock, failures, untracked, registry } = build()
    missions.on('mission_update', ({ status }) => { if (status === 'cancelled') missions.spawn('again', stubborn) })
    missions.spawn('first', stubborn)
    const closing = registry.shutdown()
    clock.advance(5_000)
    await closing
    t.match(missions.stats(), { active: 0, cancelled: missions.stats().total })
    t.strictSame(untracked, [['closing', 'FST_MC_CLOSING']], 'the last replacement runs without a mission')
    t.strictSame(failures, [])
  })
})

t.test('close', async (t) => {
  t.test('leaves no timer and no listener, and later calls add none', async (t) => {
    const { missions, clock, updates, registry } = build()
    const mission = missions.start({ name: 'job', timeoutMs: 10_000 })
    mission.progress(progressOf(1))
    mission.progress(progressOf(2))
    missions.start('ended').complete()
    const before = updates.length
    registry.close()
    t.equal(clock.running, 0)
    missions.on('mission_update', () => {})
    mission.extendTimeout(5)
    mission.progress(progressOf(3))
    mission.progress(progressOf(4))
    mission.cancel()
    t.equal(clock.running, 0)
    clock.advance(100_000)
    t.equal(mission.isTerminal, false)
    mission.complete()
    t.equal(clock.running, 0)
    t.match(missions.stats(), { active: 0, completed: 2 })
    t.equal(updates.length, before)
    t.throws(() => missions.start('later'), { code: 'FST_MC_CLOSING' })
  })

  t.test('ends a running shutdown, and a later shutdown does not wait', async (t) => {
    const { missions, registry } = build()
    const first = missions.spawn('first', stubborn)
    const closing = registry.shutdown()
    registry.close()
    await closing
    t.match(first.view(), { status: 'cancelled', cancel: { kind: 'shutdown', forced: true } })
    const { missions: others, registry: otherRegistry } = build()
    const second = others.spawn('second', stubborn)
    otherRegistry.close()
    await otherRegistry.shutdown()
    t.match(second.view(), { status: 'cancelled', cancel: { kind: 'shutdown', forced: true } })
  })
})

t.test('closing the app', async (t) => {
  const isOf = (id: string, status?: MissionStatus) => ({ payload }: { payload: MissionUpdate }) =>
    payload.missionId === id && (status === undefined || payload.status === status)

  t.test('sends every ending to connected clients before their sockets close', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock, missions: { closeGraceMs: 5_000 } })
    const client = await connect(app)
    await client.subscribe('mission_update')
    app.missions.spawn({ id: 'obedient', name: 'job' }, async (mission) => {
      mission.progress(progressOf(1))
      mission.progress(progressOf(2))
      await obedient(mission)
    })
    app.missions.spawn({ id: 'stubborn', name: 'job' }, stubborn)
    app.missions.start({ id: 'silent', name: 'job' })
    await client.next('mission_update', isOf('silent'))
    const closing = app.close()
    const { payload } = await client.next('mission_update', isOf('obedient', 'cancelled'))
    t.match(payload, { cancel: { kind: 'shutdown' } })
    t.equal(payload.cancel!.forced, undefined)
    t.equal(app.missions.get('stubborn')!.isTerminal, false)
    clock.advance(5_000)
    for (const id of ['silent', 'stubborn']) {
      const { payload } = await client.next('mission_update', isOf(id, 'cancelled'))
      t.match(payload, { cancel: { kind: 'shutdown', forced: true } })
    }
    t.match(await client.closed, { code: /^10(01|12)$/ })
    await closing
    const updates = client.received.flatMap((message) => message.type === 'mission_update' ? [message.payload] : [])
    t.strictSame(findStreamFaults(updates), [])
    const indexes = updates.filter(({ missionId }) => missionId === 'obedient').map(({ progress }) => progress?.index)
    t.match(indexes, [undefined, 1, 2, 2])
    t.match(app.missions.stats(), { active: 0, cancelled: 3, total: 3 })
    t.throws(() => app.missions.start('later'), { code: 'FST_MC_CLOSING' })
  })

  t.test('keeps the log of a mission working until the mission has ended', async (t) => {
    const lines: Array<Record<string, unknown>> = []
    const app = await boot(t, {}, { logger: { level: 'info', stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } } })
    const mission = app.missions.spawn({ id: 'm', name: 'job' }, async ({ log, signal }) => {
      if (!signal.aborted) await once(signal, 'abort')
      log.info({ rows: 3 }, 'stopping')
    })
    await app.close()
    await mission.done
    t.match(lines.filter(({ msg }) => msg === 'stopping'), [{ missionId: 'm', plugin: 'fastify-mission-control', rows: 3 }])
  })

  t.test('does not wait for the grace period if missions end at once (system clock)', async (t) => {
    const app = await boot(t, { missions: { closeGraceMs: 60_000 } })
    const client = await connect(app)
    await client.subscribe('mission_update')
    const mission = app.missions.spawn('job', obedient)
    const closing = app.close()
    t.match((await client.next('mission_update', isOf(mission.id, 'cancelled'))).payload, { cancel: { kind: 'shutdown' } })
    await client.closed
    await closing
    t.match(await mission.done, { status: 'cancelled' })
  })
})
