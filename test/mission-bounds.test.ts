import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { MessageEnvelope } from '../lib/hub/wire/envelope.js'
import type { Mission, MissionDetails } from '../lib/missions/index.js'
import type { MissionStatus, MissionTotals, MissionUpdate, OptionsInput } from '../schemas/index.js'
import { build, findStreamFaults, settle, type Stand } from './support/missions.js'

type Serializers = NonNullable<NonNullable<OptionsInput['missions']>['serializers']>

const HOUR_MS = 3_600_000
const UNSERIALIZABLE = { unserializable: true }

const progressOf = (index: number, total = 100_000) => ({ taskId: `task ${index}`, index, total, status: 'running' })
const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))
const sum = ({ active, completed, cancelled, errors }: MissionTotals) => active + completed + cancelled + errors

/** Returns all missions that the registry still lists, page by page. */
function listAll ({ missions }: Pick<Stand, 'missions'>) {
  const all = []
  for (let cursor: string | null = '9'.repeat(16); cursor !== null;) {
    const page = missions.list({ limit: 200, cursor })
    all.push(...page.missions)
    cursor = page.nextCursor
  }
  return all
}

t.test('maxActive', async (t) => {
  t.test('rejects and counts a mission beyond the limit, with every way to start one', async (t) => {
    const { missions, updates, untracked } = build({ maxActive: 2 })
    const first = missions.start({ id: 'a', name: 'job' })
    missions.report('b', 'planned')
    const code = 'FST_MC_TOO_MANY_MISSIONS'
    t.throws(() => missions.start('c'), { code, message: /2 active missions/ })
    t.throws(() => missions.report('c', 'completed'), { code })
    t.throws(() => missions.waiting('c', 'queued'), { code })
    t.equal(first.child('c').isTracked, false)
    t.equal(missions.spawn('c', () => {}).isTracked, false)
    t.equal(await missions.run('c', ({ isTracked }) => isTracked), false)
    t.match(missions.stats(), { active: 2, total: 2, refused: 6, untracked: 3 })
    t.strictSame(untracked, [['full', code]], 'the first one is logged')
    t.equal(updates.length, 2)
    t.equal(missions.get('c'), undefined)
  })

  t.test('does not apply to an active id, and allows a new mission after one has ended', async (t) => {
    const { missions } = build({ maxActive: 1 })
    const first = missions.start({ id: 'a', name: 'job' })
    t.equal(missions.start({ id: 'a', name: 'job' }), first)
    first.complete()
    t.ok(missions.start('b'))
    t.match(missions.stats(), { active: 1, refused: 0 })
  })
})

t.test('retention', async (t) => {
  t.test('keeps ended missions for endedRetentionMs, failed missions for at least a day', async (t) => {
    const { missions, clock } = build()
    for (const status of ['completed', 'cancelled', 'error'] as const) missions.report(status, status)
    const ids = () => missions.list().missions.map(({ id }) => id)
    clock.advance(HOUR_MS - 1)
    t.strictSame(ids(), ['error', 'cancelled', 'completed'])
    clock.advance(1)
    t.strictSame(ids(), ['error'])
    t.equal(missions.get('completed'), undefined)
    t.equal(missions.cancel('completed'), 'not_found')
    clock.advance(23 * HOUR_MS - 1)
    t.strictSame(ids(), ['error'])
    clock.advance(1)
    t.strictSame(ids(), [])
    t.equal(clock.running, 0)
    t.match(missions.stats(), { active: 0, completed: 1, cancelled: 1, errors: 1, total: 3, avgDurationMs: 0, stalled: 0, lateOutcomes: 0 })
  })

  t.test('keeps failed missions longer than a day if endedRetentionMs is longer', async (t) => {
    const { missions, clock } = build({ endedRetentionMs: 25 * HOUR_MS })
    missions.report('a', 'error')
    clock.advance(25 * HOUR_MS - 1)
    t.ok(missions.get('a'))
    clock.advance(1)
    t.equal(missions.get('a'), undefined)
  })

  t.test('keeps the newest maxEnded missions, and separately as many failed ones', async (t) => {
    const { missions } = build({ maxEnded: 3 })
    const end = (...statuses: MissionStatus[]) => {
      for (const [i, status] of statuses.entries()) missions.report(`${i} ${status}`, status)
    }
    end('error', 'completed', 'error', 'cancelled', 'error', 'completed', 'error', 'cancelled', 'completed')
    t.strictSame(missions.list().missions.map(({ id }) => id),
      ['8 completed', '7 cancelled', '6 error', '5 completed', '4 error', '2 error'])
    t.match(missions.stats(), { completed: 3, cancelled: 2, errors: 4, total: 9 })
  })

  t.test('forgets missions in the order of their endings, not of their starts', async (t) => {
    const { missions } = build({ maxEnded: 1 })
    const [old, young] = [missions.start('old'), missions.start('young')]
    young.complete()
    old.complete()
    t.strictSame(missions.list().missions.map(({ name }) => name), ['old'])
  })

  t.test('may be zero: the ending is still emitted, and the outcome resolves', async (t) => {
    const { missions, updates } = build({ maxEnded: 0 })
    const mission = missions.start('job')
    mission.complete()
    t.strictSame(missions.list(), { missions: [], nextCursor: null })
    t.equal(updates.at(-1)!.status, 'completed')
    t.match(await mission.done, { status: 'completed' })
    t.match(missions.stats(), { completed: 1, total: 1 })
  })

  t.test('forgets each mission on time when another one has ended in between', async (t) => {
    const { missions, clock } = build({ endedRetentionMs: 1_000 })
    missions.report('a', 'completed')
    clock.advance(600)
    missions.report('b', 'completed')
    clock.advance(399)
    t.equal(missions.list().missions.length, 2)
    clock.advance(1)
    t.strictSame(missions.list().missions.map(({ id }) => id), ['b'])
    clock.advance(600)
    t.equal(missions.list().missions.length, 0)
  })

  t.test('frees the id of a forgotten mission when its ending is no longer known to anybody', async (t) => {
    const { missions, clock } = build()
    missions.report('a', 'completed')
    const code = 'FST_MC_MISSION_ENDED'
    t.throws(() => missions.start({ id: 'a', name: 'job' }), { code })
    clock.advance(HOUR_MS)
    t.equal(missions.get('a'), undefined)
    t.throws(() => missions.start({ id: 'a', name: 'job' }), { code })
    clock.advance(24 * HOUR_MS + 1)
    t.equal(missions.start({ id: 'a', name: 'job' }).status, 'planning_started')
  })

  t.test('never lowers a published total, and the totals always add up', async (t) => {
    const { missions, clock } = build({ maxEnded: 5, endedRetentionMs: 700 })
    let before = missions.stats()
    for (let i = 0; i < 3_000; i++) {
      missions.report(`m${i % 97}.${Math.floor(i / 485)}`, (['planned', 'completed', 'error', 'execution_started', 'cancelled'] as const)[i % 5]!)
      clock.advance(i % 13)
      const now = missions.stats()
      if (now.total !== sum(now)) t.fail(`the totals do not add up at ${i}`)
      for (const name of ['completed', 'cancelled', 'errors', 'total'] as const) {
        if (now[name] < before[name]) t.fail(`${name} fell at ${i}`)
      }
      before = now
    }
    t.ok(before.total > 500)
    t.ok(missions.list({ limit: 200 }).missions.length <= 110)
  })
})

t.test('200,000 missions leave nothing in memory beyond the retention limits', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { missions, clock, failures, registry } = build({ cancelGraceMs: 5 }, { isQuiet: true })
  let emitted = 0
  missions.on('mission_update', () => { emitted++ })
  const parent = missions.start('parent')
  const samples: Array<{ id: string, mission: WeakRef<Mission> }> = []
  const kinds: Array<() => Mission> = [
    () => { const mission = missions.start('start'); mission.complete(); return mission },
    () => {
      const mission = parent.child('child')
      mission.progress(progressOf(1))
      mission.progress(progressOf(2))
      mission.complete()
      return mission
    },
    () => { const mission = missions.start('failed'); mission.fail(new Error('x')); return mission },
    () => {
      const mission = missions.start({ name: 'cancelled', timeoutMs: 5 })
      mission.progress(progressOf(1))
      mission.cancel()
      return mission
    },
    () => missions.spawn('spawned', () => {}),
    () => {
      const mission = missions.start({ name: 'waited', timeoutMs: 3 })
      missions.waitFor(mission.id, { timeoutMs: 1 }).catch(() => {})
      return mission
    }
  ]
  for (let i = 0; i < 200_000; i++) {
    const mission = kinds[i % kinds.length]!()
    if (i % 101 === 0) samples.push({ id: mission.id, mission: new WeakRef(mission) })
    clock.advance(1)
    parent.heartbeat()
    if (i % 1_000 === 0) await settle()
  }
  clock.advance(20)
  await settle()
  const kept = new Set(listAll({ missions }).map(({ id }) => id))
  t.equal(kept.size, 2_001)
  t.match(missions.stats(), { active: 1, errors: 33_333, total: 200_001 })
  t.equal(clock.mostRunning, 1)
  t.ok(emitted > 400_000)
  t.strictSame(failures, [])
  collect()
  const leaked = samples.filter(({ id, mission }) => mission.deref() !== undefined && !kept.has(id))
  t.equal(leaked.length, 0, 'missions that are not listed are garbage')
  clock.advance(24 * HOUR_MS)
  parent.complete()
  registry.close()
  t.equal(clock.running, 0)
})

t.test('size limits', async (t) => {
  const sentPlan = (stand: Stand, planningSession: unknown) => {
    stand.missions.start('job').planned(planningSession)
    return stand.updates.at(-1)!.planningSession as { truncated: true, bytes: number, preview: string }
  }

  t.test('a plan is sent whole up to 32 KiB; above, its size and a preview are sent', async (t) => {
    const stand = build()
    const texts = [['a', 32_766, true], ['a', 32_767, false], ['ü', 16_383, true], ['ü', 16_384, false]] as const
    for (const [character, count, isWhole] of texts) {
      const text = character.repeat(count)
      const plan = sentPlan(stand, text)
      if (isWhole) t.equal(plan as unknown, text)
      else t.strictSame(plan, { truncated: true, bytes: bytesOf(text), preview: JSON.stringify(text).slice(0, 256) })
    }
  })

  t.test('the first five tasks are sent, each up to 1 KiB, and the rest is counted', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    const [whole, large] = [{ text: 'a'.repeat(1_013) }, { text: 'a'.repeat(1_014) }]
    t.equal(bytesOf(whole), 1_024)
    mission.tasksGenerated([whole, large, 3, null, 'five', 'six', 'seven', 'eight'])
    t.strictSame(updates.at(-1)!.tasksSummary, [
      whole, { truncated: true, bytes: 1_025, preview: JSON.stringify(large).slice(0, 256) }, 3, null, 'five', { truncated: true, count: 3 }
    ])
    mission.planned()
    missions.start('few').tasksGenerated([1, 2, 3, 4, 5])
    t.strictSame(updates.at(-1)!.tasksSummary, [1, 2, 3, 4, 5])
    missions.start('other').tasksGenerated(large)
    t.match(updates.at(-1)!.tasksSummary, { truncated: true, bytes: 1_025 })
  })

  t.test('an error message is cut to 2 KiB, visibly and between characters', async (t) => {
    for (const [character, length, cutLength] of [['a', 2_048, 2_045], ['ü', 1_024, 1_022], ['€', 682, 681], ['😀', 512, 511]] as const) {
      for (const count of [length, length + 1, 5_000]) {
        const { missions, updates } = build()
        const mission = missions.start('job')
        mission.fail(new Error(character.repeat(count)))
        const error = { code: 'error', message: count === length ? character.repeat(length) : `${character.repeat(cutLength)}…` }
        t.strictSame([updates.at(-1)!.error, updates.at(-1)!.errorCode], [error.message, error.code])
        t.strictSame(mission.view().error, error)
        t.strictSame((await mission.done).error, error)
      }
    }
  })

  t.test('ids, tenants and times of a wrong size are rejected', async (t) => {
    const { missions } = build()
    const text = (length: number) => 'x'.repeat(length)
    t.equal(missions.start({ id: text(256), name: 'job', tenant: text(128) }).id.length, 256)
    const wrongInits = [
      { tenant: text(129) }, { tenant: '' }, { id: text(257) }, { id: '' }, { parentId: '' }, { parentId: text(257) },
      { timeoutMs: 0 }, { timeoutMs: 2 ** 31 }, { attempt: 0 }, { attempt: 1.5 }, { attempt: 'last' }
    ]
    for (const wrong of wrongInits) {
      t.throws(() => missions.start({ name: 'job', ...wrong as object }), { code: 'FST_MC_INVALID_MISSION' }, JSON.stringify(wrong).slice(0, 40))
    }
    for (const id of ['', text(257), 5 as never]) t.throws(() => missions.report(id, 'planned'), { code: 'FST_MC_INVALID_MISSION' })
    t.equal(missions.stats().total, 1)
  })

  t.test('metadata is kept whole up to 4 KiB, and cut when it grows beyond that', async (t) => {
    const { missions, updates } = build()
    const whole = { text: 'a'.repeat(4_085) }
    t.equal(bytesOf(whole), 4_096)
    const mission = missions.start({ name: 'job', metadata: whole })
    t.strictSame(mission.metadata, whole)
    mission.annotate({ more: 1 })
    const cut = { truncated: true, bytes: 4_105, preview: JSON.stringify(whole).slice(0, 256) }
    t.strictSame(mission.metadata, cut)
    t.strictSame(updates.at(-1)!.metadata, cut)
    mission.annotate({ more: 1 })
    t.strictSame(mission.metadata, { ...cut, more: 1 })
  })

  t.test('a message with its envelope stays within 64 KiB, even if its parts are within their own limits', async (t) => {
    const longest = '\u0001'.repeat(128)
    const envelope = new MessageEnvelope(createVirtualClock(), { name: longest, version: longest })
    const wire = (payload: MissionUpdate) => envelope.message('mission_update', { payload }, { replyTo: longest }).bytes
    const stand = build({ maxMetadataBytes: 1_048_576 })
    const mission = stand.missions.start({ id: longest, name: longest, objective: '\u0001'.repeat(2_048) })
    mission.waiting('\u0001'.repeat(256))
    const text = (bytes: number) => 'ü'.repeat(bytes / 2)
    const kinds: Array<[string, string, string]> = []
    const kind = (value: unknown) => value === undefined ? 'absent' : (value as { truncated?: true }).truncated === true ? 'cut' : 'whole'
    const plan = text(30_000)
    const tasks = Array.from({ length: 5 }, () => text(1_000))
    for (const metadata of [10_000, 40_000, 55_000, 80_000]) {
      const one = stand.missions.start(longest)
      one.progress(progressOf(1))
      one.annotate({ text: text(metadata) })
      const progress = { ...progressOf(2), taskId: longest.repeat(2), status: '\u0001'.repeat(64), fraction: 1 / 3 }
      one.report('execution_progress', { planningSession: plan, tasksSummary: tasks, progress })
      one.cancel({ reason: '\u0001'.repeat(300), by: longest })
      const update = stand.updates.at(-1)!
      kinds.push([kind(update.planningSession), kind(update.tasksSummary), kind(update.metadata)])
      one.report('error', { error: { message: '\u0001'.repeat(5_000) }, planningSession: plan, tasksSummary: tasks })
    }
    t.strictSame(kinds, [['whole', 'whole', 'whole'], ['cut', 'whole', 'whole'], ['cut', 'cut', 'whole'], ['cut', 'cut', 'cut']])
    for (const update of stand.updates) t.ok(wire(update) <= 65_536, `${update.status} ${wire(update)}`)
    t.strictSame(findStreamFaults(stand.updates), [])
    const wholes = Array.from({ length: 64 }, (_, i) => {
      stand.missions.start('job').annotate({ text: 'a'.repeat(60_000 + i * 100) })
      return kind(stand.updates.at(-1)!.metadata) === 'whole' ? wire(stand.updates.at(-1)!) : 0
    })
    t.ok(Math.max(...wholes) <= 65_536, `the largest message has ${Math.max(...wholes)} bytes`)
    t.ok(Math.max(...wholes) > 62_000, 'most of the limit is used')
  })

  t.test('a value nested more than 256 levels deep is replaced, because JSON is parsed recursively', async (t) => {
    const nest = (depth: number) => {
      let value: unknown = 'x ][}{ "" \\'
      for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value }
      return value
    }
    const stand = build({ maxInlineBytes: 1_048_576 })
    t.strictSame(sentPlan(stand, nest(256)), nest(256))
    for (const depth of [257, 3_000, 4_000, 5_000, 100_000]) t.strictSame(sentPlan(stand, nest(depth)), UNSERIALIZABLE)
    const brackets = '[{"\\'.repeat(5_000)
    t.equal(sentPlan(stand, brackets) as unknown, brackets, 'brackets inside a string do not count as nesting')
    stand.missions.start('job').annotate({ deep: nest(1_000) })
    t.strictSame(stand.missions.list().missions[0]!.metadata, UNSERIALIZABLE)
  })
})

t.test('values that cannot be read or serialized', async (t) => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const throwing = { get secret () { throw new Error('canary') } }
  const hostile: Array<[title: string, value: unknown]> = [
    ['a cycle', cycle],
    ['a BigInt', { n: 1n }],
    ['a throwing getter', throwing],
    ['a throwing toJSON', { toJSON () { throw new Error('canary') } }],
    ['a function', () => 1],
    ['a symbol', Symbol('canary')],
    ['a revoked proxy', revokedProxy({})],
    ['a revoked proxy of an array', revokedProxy([])]
  ]
  for (const [title, value] of hostile) {
    t.test(`${title} becomes a placeholder in every position and never throws into the host`, async (t) => {
      const { missions, updates } = build()
      const mission = missions.start({ name: 'job', metadata: { value } as Record<string, unknown> })
      t.strictSame(mission.tasksGenerated([value, 'fine']), { applied: true })
      t.strictSame(updates.at(-1)!.tasksSummary, [UNSERIALIZABLE, 'fine'])
      t.strictSame(mission.planned(value), { applied: true })
      t.strictSame(updates.at(-1)!.planningSession, UNSERIALIZABLE)
      t.strictSame(mission.report('execution_started', { tasksSummary: value }), { applied: true })
      t.strictSame(updates.at(-1)!.tasksSummary, UNSERIALIZABLE)
      mission.annotate({ value })
      t.strictSame(mission.fail(value), { applied: true })
      t.match(updates.at(-1), { error: 'unknown error', errorCode: 'error' })
      t.notMatch(JSON.stringify([updates, mission.view()]), 'canary')
      t.strictSame(findStreamFaults(updates), [])
    })
  }

  t.test('an array that throws when its entries are read is replaced as a whole', async (t) => {
    const { missions, updates } = build()
    const list = Object.defineProperty([1, 2], 0, { get () { throw new Error('canary') } })
    missions.start('job').tasksGenerated(list)
    t.strictSame(updates.at(-1)!.tasksSummary, UNSERIALIZABLE)
  })

  t.test('details whose getters throw affect nothing else, and the mission can still end', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    t.strictSame(mission.report('planned', { get planningSession () { throw new Error('canary') } }), { applied: true })
    t.strictSame(updates.at(-1)!.planningSession, UNSERIALIZABLE)
    const throwing = { get progress (): never { throw new Error('canary') } }
    t.strictSame(mission.report('execution_progress', throwing), { applied: true })
    t.strictSame(mission.report('execution_progress', throwing), { applied: false, reason: 'repeated' })
    t.equal(mission.view().progress, null)
    t.strictSame(mission.progress({ ...progressOf(1), get status (): never { throw new Error('canary') } }), { applied: true })
    t.match(mission.view().progress, { ...progressOf(1), status: 'running' })
    t.strictSame(mission.report('execution_progress', revokedProxy({})), { applied: true })
    t.strictSame(mission.report('error', { get error () { throw new Error('canary') } }), { applied: true })
    t.match(mission.view(), { status: 'error', error: { code: 'error', message: 'unknown error' } })
    t.match(missions.stats(), { active: 0, errors: 1 })
  })

  t.test('details are read once, so a getter cannot return different values', async (t) => {
    const { missions, updates } = build()
    let reads = 0
    const details: MissionDetails = { get progress () { return { ...progressOf(1), index: ++reads, total: 1 } } }
    const mission = missions.start('job')
    mission.report('execution_progress', details)
    t.equal(reads, 1)
    t.strictSame(updates.at(-1)!.progress, mission.view().progress)
  })
})

t.test('serializers', async (t) => {
  const counting = (serializers: Serializers): { stand: Stand, calls: Array<[string, unknown]> } => {
    const calls: Array<[string, unknown]> = []
    const wrapped = Object.fromEntries(Object.entries(serializers).map(([name, serialize]) => [name, (value: unknown) => {
      calls.push([name, value])
      return (serialize as (value: unknown) => unknown)(value)
    }]))
    return { stand: build({ serializers: wrapped }), calls }
  }

  t.test('run once per event, for any number of listeners', async (t) => {
    const { stand: { missions, updates }, calls } = counting({
      objective: (value) => `${String(value)}, shown`,
      planningSession: () => ({ shown: true }),
      task: (value) => `task ${String(value)}`,
      error: (value) => ({ code: 'SHOWN', message: (value as Error).message.toUpperCase() })
    })
    for (let i = 0; i < 3; i++) missions.on('mission_update', () => {})
    const mission = missions.start({ name: 'job', objective: 'all rows' })
    mission.tasksGenerated([1, 2])
    const plan = { secret: true }
    mission.planned(plan)
    const boom = new Error('it broke')
    mission.fail(boom)
    mission.fail(boom)
    missions.list()
    t.strictSame(calls, [['objective', 'all rows'], ['task', 1], ['task', 2], ['planningSession', plan], ['error', boom]])
    t.match(updates, [
      { objective: 'all rows, shown' }, { tasksSummary: ['task 1', 'task 2'] }, { planningSession: { shown: true } },
      { error: 'IT BROKE', errorCode: 'SHOWN' }
    ])
    t.match(mission.view(), { objective: 'all rows, shown', error: { code: 'SHOWN' } }, 'views are serialized too')
  })

  t.test('that throw are counted and replace only their own value with a placeholder', async (t) => {
    const fail = () => { throw new Error('canary') }
    const { stand: { missions, updates, failures }, calls } = counting({ objective: fail, planningSession: fail, task: fail, error: fail })
    const mission = missions.start({ name: 'job', objective: 'x' })
    mission.tasksGenerated([1])
    mission.planned(2)
    mission.fail(3)
    t.match(updates, [
      { objective: '[unserializable]' },
      { tasksSummary: [UNSERIALIZABLE] },
      { planningSession: UNSERIALIZABLE },
      { error: 'unknown error', errorCode: 'error' }
    ])
    t.equal(calls.length, 4)
    t.strictSame(failures.map(([where]) => where),
      ['serializer.objective', 'serializer.task', 'serializer.planningSession', 'serializer.error'])
    t.notMatch(JSON.stringify(updates), 'canary')
  })

  t.test('return values that are cut to the size limits too', async (t) => {
    const { stand: { missions, updates } } = counting({
      objective: () => 'ü'.repeat(10_000),
      planningSession: () => 'x'.repeat(40_000),
      task: () => 'x'.repeat(2_000),
      error: () => 'x'.repeat(3_000)
    })
    const mission = missions.start({ name: 'job', objective: 'x' })
    mission.tasksGenerated([1])
    mission.planned(2)
    mission.fail(3)
    t.match(updates, [
      { objective: /^ü{4094}…$/ },
      { tasksSummary: [{ truncated: true, bytes: 2_002 }] },
      { planningSession: { truncated: true, bytes: 40_002 } },
      { error: /^x{2045}…$/ }
    ])
  })

  t.test('run before the change they belong to, so a report they make is emitted first', async (t) => {
    const stand = build({ serializers: { planningSession: (value) => { stand.missions.get('a')!.tasksGenerated([1]); return value } } })
    const mission = stand.missions.start({ id: 'a', name: 'job' })
    mission.planned('plan')
    t.strictSame(stand.updates.map(({ status }) => status), ['planning_started', 'tasks_generated', 'planned'])
    t.strictSame(findStreamFaults(stand.updates), [])
  })

  t.test('may start the mission they are serializing, which then exists once', async (t) => {
    let isFirst = true
    const stand = build({
      serializers: {
        objective (value) {
          if (isFirst) {
            isFirst = false
            stand.missions.start({ id: 'a', name: 'inner', objective: 'inner' })
          }
          return value
        }
      }
    })
    const mission = stand.missions.start({ id: 'a', name: 'outer', objective: 'outer' })
    t.equal(mission, stand.missions.get('a'))
    t.equal(mission.name, 'inner')
    mission.complete()
    t.match(stand.missions.stats(), { active: 0, completed: 1, total: 1 })
    t.strictSame(findStreamFaults(stand.updates), [])
  })

  t.test('may read a mission that was just registered', async (t) => {
    const views: unknown[] = []
    const stand = build({ serializers: { error: (value) => { views.push(stand.missions.get('a')!.view()); return value } } })
    stand.missions.report('a', 'error', { error: 'x' })
    t.match(views, [{ status: 'planning_started', endedAt: null, error: null }])
    t.match(stand.updates, [{ status: 'error', error: 'x', seq: 1 }])
  })

  t.test('may complete a mission that is about to end because of a stall', async (t) => {
    const error = (value: unknown) => { stand.missions.get('a')!.complete(); return value }
    const stand = build({ stallMs: 1_000, onStall: 'error', serializers: { error } })
    const mission = stand.missions.start({ id: 'a', name: 'job' })
    const { signal } = mission
    stand.clock.advance(1_000)
    t.match(mission.view(), { status: 'completed', lateOutcome: 'error', stalled: false })
    t.equal(stand.registry.find('a')!.isForced, false)
    t.equal(signal.aborted, false)
    t.strictSame(findStreamFaults(stand.updates), [])
  })

  t.test('may complete the mission they are serializing, which then ends once', async (t) => {
    const stand = build({ serializers: { error: (value) => { stand.missions.get('a')!.complete(); return value } } })
    const mission = stand.missions.start({ id: 'a', name: 'job' })
    t.strictSame(mission.fail(new Error('x')), { applied: false, reason: 'terminal' })
    t.match(mission.view(), { status: 'completed', error: null, lateOutcome: 'error' })
    t.match(stand.missions.stats(), { active: 0, completed: 1, errors: 0, total: 1 })
    t.strictSame(findStreamFaults(stand.updates), [])
  })
})

t.test('tasks', async (t) => {
  t.test('are kept up to 200, and the rest is counted', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    for (let i = 1; i <= 250; i++) mission.progress(progressOf(i))
    for (let i = 1; i <= 250; i++) mission.progress({ ...progressOf(i), status: 'done' })
    const { tasks, tasksOmitted } = mission.view()
    t.equal(tasks.length, 200)
    t.equal(tasksOmitted, 50)
    t.match(tasks.at(-1), { taskId: 'task 200', index: 200, status: 'done' })
    t.ok(tasks.every(({ status }) => status === 'done'))
  })

  t.test('are counted correctly in any order', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    for (let i = 0; i < 251; i++) mission.progress(progressOf((i * 23) % 251 + 1))
    t.equal(mission.view().tasks.length, 200)
    t.equal(mission.view().tasksOmitted, 51)
  })

  t.test('beyond the limit are counted once each; a gap between indexes counts as no task', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    for (let i = 1; i < 200; i++) mission.progress(progressOf(i))
    t.equal(mission.view().tasksOmitted, 0)
    mission.progress(progressOf(500))
    t.equal(mission.view().tasksOmitted, 0)
    mission.progress(progressOf(1_000))
    t.equal(mission.view().tasksOmitted, 1)
  })

  t.test('that run as functions get their own index beyond the limit too', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    for (let i = 1; i <= 198; i++) mission.progress(progressOf(i))
    for (const taskId of ['a', 'b', 'c', 'd']) {
      await mission.task(taskId, () => { clock.advance(100) })
      clock.advance(100)
    }
    const indexes = updates.flatMap(({ progress }) => progress?.status === 'completed' ? [progress.index] : [])
    t.strictSame(indexes, [199, 200, 201, 202])
    const { tasks, tasksOmitted } = mission.view()
    t.strictSame([tasks.length, tasks.at(-1)!.taskId, tasksOmitted], [200, 'b', 2])
  })
})

t.test('progress', async (t) => {
  const busy = (everyMs: number, options: Parameters<typeof build>[0] = {}) => {
    const stand = build(options)
    const emitted: Array<{ at: number, index: number }> = []
    stand.missions.on('mission_update', ({ progress, status }) => {
      if (status === 'execution_progress') emitted.push({ at: stand.clock.monotonic(), index: progress!.index })
    })
    const mission = stand.missions.start('job')
    for (let i = 1; i <= 1_000; i++) {
      mission.progress(progressOf(i))
      stand.clock.advance(everyMs)
    }
    return { ...stand, mission, emitted }
  }

  for (const perSecond of [10, 2, 37]) {
    t.test(`is emitted at most ${perSecond} times in any second, and the newest wins`, async (t) => {
      const { emitted } = busy(7, { maxProgressPerSecond: perSecond })
      t.ok(emitted.every(({ at }) => emitted.filter((other) => other.at >= at && other.at < at + 1_000).length <= perSecond))
      t.ok(emitted.length >= 5 * perSecond, 'most of the rate is used')
      t.ok(emitted.every(({ at, index }) => 7 * (index - 1) <= at && at <= 7 * index), 'each update has the newest progress of its time')
    })
  }

  t.test('is emitted at once if it is the first or the last one is at least an interval old', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    for (let i = 1; i <= 3; i++) {
      mission.progress(progressOf(i))
      t.equal(updates.at(-1)!.progress!.index, i)
      clock.advance(100)
    }
    t.equal(updates.length, 4)
  })

  t.test('of one mission does not delay progress of another', async (t) => {
    const { missions, updatesOf } = build()
    for (const id of ['a', 'b', 'c']) {
      missions.start({ id, name: 'job' }).progress(progressOf(1))
      t.equal(updatesOf(id).length, 2)
    }
  })

  t.test('that is delayed is always emitted before the ending', async (t) => {
    for (const status of ['completed', 'cancelled', 'error'] as const) {
      const { mission, updates } = busy(3)
      mission.progress(progressOf(5_000))
      mission.report(status)
      t.match(updates.slice(-2), [{ status: 'execution_progress', progress: { index: 5_000 } }, { status }])
      t.match(updates.at(-1)!.progress, { index: 5_000 }, 'a watcher may have missed the update before')
      t.strictSame(findStreamFaults(updates), [])
    }
  })

  t.test('reported with a terminal status is emitted with the ending', async (t) => {
    const { missions, updates } = build()
    missions.start('job').report('completed', { progress: progressOf(9, 9) })
    t.match(updates.at(-1), { status: 'completed', progress: progressOf(9, 9) })
  })

  t.test('that was delayed is emitted once', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    mission.progress(progressOf(1))
    mission.progress(progressOf(2))
    clock.advance(100)
    clock.advance(1_000)
    t.strictSame(updates.map(({ progress }) => progress?.index), [undefined, 1, 2])
    mission.complete()
    t.equal(updates.length, 4)
  })

  t.test('keeps a plan and metadata that were reported with progress it replaces', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    mission.progress(progressOf(1))
    mission.report('execution_progress', { progress: progressOf(2), planningSession: { steps: 2 } })
    mission.annotate({ rows: 1 })
    mission.report('execution_progress', { progress: progressOf(3), planningSession: undefined })
    clock.advance(100)
    t.equal(updates.length, 3)
    t.match(updates.at(-1), { progress: { index: 3 }, planningSession: { steps: 2 }, metadata: { rows: 1 } })
  })

  t.test('is carried by a cancel request, which restarts the interval', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    mission.progress(progressOf(1))
    clock.advance(50)
    mission.progress(progressOf(2))
    mission.cancel()
    mission.progress(progressOf(3))
    t.strictSame(updates.map(({ progress }) => progress?.index), [undefined, 1, 2])
    clock.advance(99)
    t.equal(updates.length, 3)
    clock.advance(1)
    t.equal(updates.at(-1)!.progress!.index, 3)
  })

  t.test('that is delayed keeps its plan as it was when it was reported', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    const plan = { steps: 1 }
    mission.progress(progressOf(1))
    mission.report('execution_progress', { progress: progressOf(2), planningSession: plan })
    plan.steps = 2
    clock.advance(100)
    t.strictSame(updates.at(-1)!.planningSession, { steps: 1 })
  })

  t.test('is neither serialized nor kept without listeners', async (t) => {
    let built = 0
    const { missions, clock } = build({ serializers: { planningSession: () => ++built } }, { isQuiet: true })
    const mission = missions.start('job')
    mission.report('execution_progress', { progress: progressOf(1), planningSession: {} })
    const updates: MissionUpdate[] = []
    const off = missions.on('mission_update', (update) => { updates.push(update) })
    mission.report('execution_progress', { progress: progressOf(2), planningSession: {} })
    mission.report('execution_progress', { progress: progressOf(3), planningSession: {} })
    off()
    clock.advance(1_000)
    mission.complete()
    t.equal(built, 2, 'only reports with a listener are serialized')
    t.strictSame(updates.map(({ seq, progress }) => [seq, progress?.index]), [[1, 2]])
    t.match(mission.view(), { status: 'completed', progress: { index: 3 }, seq: 1 })
  })

  t.test('that was delayed when the last listener left is not emitted to the next one', async (t) => {
    const { missions } = build({}, { isQuiet: true })
    const mission = missions.start('job')
    const off = missions.on('mission_update', () => {})
    mission.progress(progressOf(1))
    mission.progress(progressOf(2))
    off()
    mission.heartbeat()
    mission.progress(progressOf(3))
    const updates: MissionUpdate[] = []
    missions.on('mission_update', (update) => { updates.push(update) })
    mission.complete()
    t.strictSame(updates.map(({ status }) => status), ['completed'])
  })
})

/** Returns a proxy on which every operation throws. */
function revokedProxy<T extends object> (target: T): T {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}
