import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { Envelope } from '../lib/hub/wire/envelope.js'
import type { Mission, MissionDetails } from '../lib/missions/index.js'
import type { MissionStatus, MissionTotals, MissionUpdate, OptionsInput } from '../schemas/index.js'
import { build, findStreamFaults, settle, type Stand } from './support/missions.js'

type Serializers = NonNullable<NonNullable<OptionsInput['missions']>['serializers']>

const HOUR_MS = 3_600_000
const UNSERIALIZABLE = { unserializable: true }

const progressOf = (index: number, total = 100_000) => ({ taskId: `task ${index}`, index, total, status: 'running' })
const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))
const sum = ({ active, completed, cancelled, errors }: MissionTotals) => active + completed + cancelled + errors

/** Everything that the registry still lists, page by page. */
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
  t.test('refuses one more with a code, however it is started, and counts it', async (t) => {
    const { missions, updates } = build({ maxActive: 2 })
    const first = missions.start({ id: 'a', name: 'job' })
    missions.report('b', 'planned')
    const code = 'FST_MC_TOO_MANY_MISSIONS'
    t.throws(() => missions.start('c'), { code, message: /2 active missions/ })
    t.throws(() => missions.spawn('c', () => t.fail('ran')), { code })
    t.throws(() => first.child('c'), { code })
    t.throws(() => missions.report('c', 'completed'), { code })
    await t.rejects(missions.run('c', () => t.fail('ran')), { code })
    t.match(missions.stats(), { active: 2, total: 2, refused: 5 })
    t.equal(updates.length, 2)
    t.equal(missions.get('c'), undefined)
  })

  t.test('lets a live id be joined, and another in when one has ended', async (t) => {
    const { missions } = build({ maxActive: 1 })
    const first = missions.start({ id: 'a', name: 'job' })
    t.equal(missions.start({ id: 'a', name: 'job' }), first)
    first.complete()
    t.ok(missions.start('b'))
    t.match(missions.stats(), { active: 1, refused: 0 })
  })
})

t.test('retention', async (t) => {
  t.test('keeps what has ended for its time, failed missions longer', async (t) => {
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
    t.strictSame(missions.stats(), { active: 0, completed: 1, cancelled: 1, errors: 1, total: 3, avgDurationMs: 0, stalled: 0, lateOutcomes: 0, refused: 0 })
  })

  t.test('keeps the newest where many end, completed and cancelled ones together', async (t) => {
    const { missions } = build({ maxEnded: 3, maxErrors: 2 })
    const end = (...statuses: MissionStatus[]) => { for (const [i, status] of statuses.entries()) missions.report(`${i} ${status}`, status) }
    end('completed', 'error', 'cancelled', 'error', 'completed', 'error', 'cancelled', 'completed')
    t.strictSame(missions.list().missions.map(({ id }) => id), ['7 completed', '6 cancelled', '5 error', '4 completed', '3 error'])
    t.match(missions.stats(), { completed: 3, cancelled: 2, errors: 3, total: 8 })
  })

  t.test('forgets in the order of the endings, not of the starts', async (t) => {
    const { missions } = build({ maxEnded: 1 })
    const [old, young] = [missions.start('old'), missions.start('young')]
    young.complete()
    old.complete()
    t.strictSame(missions.list().missions.map(({ name }) => name), ['old'])
  })

  t.test('may keep nothing, and still tells the ending', async (t) => {
    const { missions, updates } = build({ maxEnded: 0 })
    const mission = missions.start('job')
    mission.complete()
    t.strictSame(missions.list(), Object.assign([], { nextCursor: null }))
    t.equal(updates.at(-1)!.status, 'completed')
    t.match(await mission.done, { status: 'completed' })
    t.match(missions.stats(), { completed: 1, total: 1 })
  })

  t.test('sweeps when one more ends, also before its timer is due', async (t) => {
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

  t.test('frees the id of a mission that is forgotten', async (t) => {
    const { missions, clock } = build()
    missions.report('a', 'completed')
    t.throws(() => missions.start({ id: 'a', name: 'job' }), { code: 'FST_MC_MISSION_ENDED' })
    clock.advance(HOUR_MS)
    t.equal(missions.start({ id: 'a', name: 'job' }).status, 'planning_started')
  })

  t.test('never lets a published number fall, nor the sum be off', async (t) => {
    const { missions, clock } = build({ maxEnded: 5, maxErrors: 5, endedRetentionMs: 700, errorRetentionMs: 1_900 })
    let before = missions.stats()
    for (let i = 0; i < 3_000; i++) {
      missions.report(`m${i % 97}`, (['planned', 'completed', 'error', 'execution_started', 'cancelled'] as const)[i % 5]!)
      clock.advance(i % 13)
      const now = missions.stats()
      if (now.total !== sum(now)) t.fail(`the sum is off at ${i}`)
      for (const name of ['completed', 'cancelled', 'errors', 'total'] as const) if (now[name] < before[name]) t.fail(`${name} fell at ${i}`)
      before = now
    }
    t.ok(before.total > 1_000)
    t.ok(missions.list({ limit: 200 }).missions.length <= 110)
  })
})

t.test('200,000 missions leave no more behind than the retention keeps', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { missions, clock, failures, registry } = build({ cancelGraceMs: 5 }, { isQuiet: true })
  let told = 0
  missions.on('mission_update', () => { told++ })
  const parent = missions.start('parent')
  const samples: Array<{ id: string, mission: WeakRef<Mission> }> = []
  const kinds: Array<() => Mission> = [
    () => { const mission = missions.start('start'); mission.complete(); return mission },
    () => { const mission = parent.child('child'); mission.progress(progressOf(1)); mission.progress(progressOf(2)); mission.complete(); return mission },
    () => { const mission = missions.start('failed'); mission.fail(new Error('x')); return mission },
    () => { const mission = missions.start({ name: 'cancelled', timeoutMs: 5 }); mission.progress(progressOf(1)); mission.cancel(); return mission },
    () => missions.spawn('spawned', () => {}),
    () => { const mission = missions.start({ name: 'waited', timeoutMs: 3 }); missions.waitFor(mission.id, { timeoutMs: 1 }).catch(() => {}); return mission }
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
  t.ok(told > 400_000)
  t.strictSame(failures, [])
  collect()
  t.strictSame(samples.filter(({ id, mission }) => mission.deref() !== undefined && !kept.has(id)).length, 0, 'what is not listed is gone from memory')
  clock.advance(24 * HOUR_MS)
  parent.complete()
  registry.close()
  t.equal(clock.running, 0)
})

t.test('the sizes of what is sent', async (t) => {
  const ofPlan = (stand: Stand, planningSession: unknown) => {
    stand.missions.start('job').planned(planningSession)
    return stand.updates.at(-1)!.planningSession as { truncated: true, bytes: number, preview: string }
  }

  t.test('a plan is sent whole up to 32 KiB, and above as its size and its start', async (t) => {
    const stand = build()
    for (const [text, isWhole] of [['a'.repeat(32_766), true], ['a'.repeat(32_767), false], ['ü'.repeat(16_383), true], ['ü'.repeat(16_384), false]] as const) {
      const plan = ofPlan(stand, text)
      if (isWhole) t.equal(plan as unknown, text)
      else t.strictSame(plan, { truncated: true, bytes: bytesOf(text), preview: JSON.stringify(text).slice(0, 256) })
    }
  })

  t.test('of the tasks the first five are sent, each up to 1 KiB, and the others counted', async (t) => {
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

  t.test('an error is its code and at most 2 KiB of text, cut between characters', async (t) => {
    for (const [character, length] of [['a', 2_048], ['ü', 1_024], ['€', 682], ['😀', 512]] as const) {
      for (const count of [length, length + 1, 5_000]) {
        const { missions, updates } = build()
        const mission = missions.start('job')
        mission.fail(new Error(character.repeat(count)))
        const error = { code: 'error', message: character.repeat(length) }
        t.strictSame(updates.at(-1)!.error, error)
        t.strictSame(mission.view().error, error)
        t.strictSame((await mission.done).error, error)
      }
    }
  })

  t.test('tags, names and objectives of a wrong size are refused', async (t) => {
    const { missions } = build()
    const text = (length: number) => 'x'.repeat(length)
    const tags = Array(10).fill(text(128))
    t.strictSame(missions.start({ id: text(128), name: text(128), objective: text(2_048), tenant: text(128), tags }).tags, tags)
    for (const wrong of [{ tags: [...tags, 'x'] }, { tags: [text(129)] }, { tags: [''] }, { objective: text(2_049) }, { tenant: text(129) }, { tenant: '' },
      { id: text(129) }, { id: '' }, { name: text(129) }, { timeoutMs: 0 }, { timeoutMs: 2 ** 31 }]) {
      t.throws(() => missions.start({ name: 'job', ...wrong }), { code: 'FST_MC_INVALID_MISSION' }, JSON.stringify(wrong).slice(0, 40))
    }
    t.equal(missions.stats().total, 1)
  })

  t.test('metadata is kept whole up to 4 KiB, also when it grows', async (t) => {
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

  t.test('a whole message stays within 64 KiB with its envelope, whatever the single bounds allow', async (t) => {
    const longest = '\u0001'.repeat(128)
    const envelope = new Envelope(createVirtualClock(), { name: longest, version: longest })
    const wire = (payload: MissionUpdate) => envelope.message('mission_update', { payload }, { replyTo: longest }).bytes
    const options = { maxPlanBytes: 1_048_576, maxTaskBytes: 1_048_576, maxMetadataBytes: 1_048_576 }
    const stand = build(options)
    const mission = stand.missions.start({ id: longest, name: longest, objective: '\u0001'.repeat(2_048) })
    mission.waiting('\u0001'.repeat(256))
    const text = (bytes: number) => 'ü'.repeat(bytes / 2)
    const seen: Array<[string, string, string]> = []
    const kind = (value: unknown) => value === undefined ? 'absent' : (value as { truncated?: true }).truncated === true ? 'cut' : 'whole'
    for (const [plan, tasks, metadata] of [[30_000, 10_000, 10_000], [60_000, 10_000, 10_000], [60_000, 70_000, 10_000], [60_000, 70_000, 80_000]] as const) {
      const one = stand.missions.start(longest)
      one.progress(progressOf(1))
      one.annotate({ text: text(metadata) })
      one.report('execution_progress', { planningSession: text(plan), tasksSummary: text(tasks), progress: { ...progressOf(2), taskId: longest } })
      one.cancel({ reason: '\u0001'.repeat(300), by: longest })
      const update = stand.updates.at(-1)!
      seen.push([kind(update.planningSession), kind(update.tasksSummary), kind(update.metadata)])
      one.report('error', { error: { message: '\u0001'.repeat(5_000) }, planningSession: text(plan), tasksSummary: text(tasks) })
    }
    t.strictSame(seen, [['whole', 'whole', 'whole'], ['cut', 'whole', 'whole'], ['cut', 'cut', 'whole'], ['cut', 'cut', 'cut']])
    for (const update of stand.updates) t.ok(wire(update) <= 65_536, `${update.status} ${wire(update)}`)
    t.strictSame(findStreamFaults(stand.updates), [])
    const wholes = Array.from({ length: 64 }, (_, i) => {
      stand.missions.start('job').planned('a'.repeat(60_000 + i * 100))
      return kind(stand.updates.at(-1)!.planningSession) === 'whole' ? wire(stand.updates.at(-1)!) : 0
    })
    t.ok(Math.max(...wholes) <= 65_536, `the largest is of ${Math.max(...wholes)} bytes`)
    t.ok(Math.max(...wholes) > 62_000, 'and the bound is used')
  })

  t.test('what nests too deep is replaced, since JSON is read by recursion', async (t) => {
    const nest = (depth: number) => {
      let value: unknown = 'x ][}{ "" \\'
      for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value }
      return value
    }
    const stand = build({ maxPlanBytes: 1_048_576 })
    t.strictSame(ofPlan(stand, nest(256)), nest(256))
    for (const depth of [257, 3_000, 4_000, 5_000, 100_000]) t.strictSame(ofPlan(stand, nest(depth)), UNSERIALIZABLE)
    const brackets = '[{"\\'.repeat(5_000)
    t.equal(ofPlan(stand, brackets) as unknown, brackets, 'brackets within text nest nothing')
    stand.missions.start('job').annotate({ deep: nest(1_000) })
    t.strictSame(stand.missions.list().missions[0]!.metadata, UNSERIALIZABLE)
  })
})

t.test('what cannot be read or written', async (t) => {
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
    ['a closed proxy', closedProxy({})],
    ['a closed proxy of a list', closedProxy([])]
  ]
  for (const [title, value] of hostile) {
    t.test(`${title} becomes a placeholder wherever it stands, and never throws into the host`, async (t) => {
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
      t.strictSame(updates.at(-1)!.error, { code: 'error', message: 'unknown error' })
      t.notMatch(JSON.stringify([updates, mission.view()]), 'canary')
      t.strictSame(findStreamFaults(updates), [])
    })
  }

  t.test('a list that throws when its entries are read is replaced as a whole', async (t) => {
    const { missions, updates } = build()
    const list = Object.defineProperty([1, 2], 0, { get () { throw new Error('canary') } })
    missions.start('job').tasksGenerated(list)
    t.strictSame(updates.at(-1)!.tasksSummary, UNSERIALIZABLE)
  })

  t.test('details whose getters throw change nothing else, and the mission still ends', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    t.strictSame(mission.report('planned', { get planningSession () { throw new Error('canary') } }), { applied: true })
    t.strictSame(updates.at(-1)!.planningSession, UNSERIALIZABLE)
    t.throws(() => mission.report('execution_progress', { get progress (): never { throw new Error('canary') } }), { code: 'FST_MC_INVALID_MISSION', message: /^(?!.*canary)/ })
    t.throws(() => mission.progress({ ...progressOf(1), get status (): never { throw new Error('canary') } }), { code: 'FST_MC_INVALID_MISSION' })
    t.throws(() => mission.report('execution_progress', closedProxy({})), { code: 'FST_MC_INVALID_MISSION' })
    t.strictSame(mission.report('error', { get error () { throw new Error('canary') } }), { applied: true })
    t.match(mission.view(), { status: 'error', error: { code: 'error', message: 'unknown error' } })
    t.match(missions.stats(), { active: 0, errors: 1 })
  })

  t.test('details that answer differently each time are read once', async (t) => {
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

  t.test('run once an event, whoever listens', async (t) => {
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
      { error: { code: 'SHOWN', message: 'IT BROKE' } }
    ])
    t.match(mission.view(), { objective: 'all rows, shown', error: { code: 'SHOWN' } }, 'what is listed was serialized too')
  })

  t.test('that throw cost only what they were to show', async (t) => {
    const fail = () => { throw new Error('canary') }
    const { stand: { missions, updates, failures }, calls } = counting({ objective: fail, planningSession: fail, task: fail, error: fail })
    const mission = missions.start({ name: 'job', objective: 'x' })
    mission.tasksGenerated([1])
    mission.planned(2)
    mission.fail(3)
    t.match(updates, [
      { objective: '[unserializable]' }, { tasksSummary: [UNSERIALIZABLE] }, { planningSession: UNSERIALIZABLE }, { error: { message: 'unknown error' } }
    ])
    t.equal(calls.length, 4)
    t.strictSame(failures.map(([where]) => where), ['serializer.objective', 'serializer.task', 'serializer.planningSession', 'serializer.error'])
    t.notMatch(JSON.stringify(updates), 'canary')
  })

  t.test('give what is bounded like what the host gives', async (t) => {
    const { stand: { missions, updates } } = counting({
      objective: () => 'ü'.repeat(10_000), planningSession: () => 'x'.repeat(40_000), task: () => 'x'.repeat(2_000), error: () => 'x'.repeat(3_000)
    })
    const mission = missions.start({ name: 'job', objective: 'x' })
    mission.tasksGenerated([1])
    mission.planned(2)
    mission.fail(3)
    t.match(updates, [
      { objective: /^ü{4096}$/ }, { tasksSummary: [{ truncated: true, bytes: 2_002 }] }, { planningSession: { truncated: true, bytes: 40_002 } },
      { error: { message: /^x{2048}$/ } }
    ])
  })

  t.test('run before anything has changed, so that what they cause is told first', async (t) => {
    const stand = build({ serializers: { planningSession: (value) => { stand.missions.get('a')!.tasksGenerated([1]); return value } } })
    const mission = stand.missions.start({ id: 'a', name: 'job' })
    mission.planned('plan')
    t.strictSame(stand.updates.map(({ status }) => status), ['planning_started', 'tasks_generated', 'planned'])
    t.strictSame(findStreamFaults(stand.updates), [])
  })

  t.test('that start the very mission they are asked for leave one mission', async (t) => {
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

  t.test('may look at a mission that was only just registered', async (t) => {
    const seen: unknown[] = []
    const stand = build({ serializers: { error: (value) => { seen.push(stand.missions.get('a')!.view()); return value } } })
    stand.missions.report('a', 'error', { error: 'x' })
    t.match(seen, [{ status: 'planning_started', endedAt: null, error: null }])
    t.match(stand.updates, [{ status: 'error', error: { message: 'x' }, seq: 1 }])
  })

  t.test('may end a mission that a stall is about to end', async (t) => {
    const stand = build({ stallMs: 1_000, onStall: 'error', serializers: { error: (value) => { stand.missions.get('a')!.complete(); return value } } })
    const mission = stand.missions.start({ id: 'a', name: 'job' })
    const { signal } = mission
    stand.clock.advance(1_000)
    t.match(mission.view(), { status: 'completed', lateOutcome: 'error', stalled: false })
    t.equal(stand.registry.find('a')!.isForced, false)
    t.equal(signal.aborted, false)
    t.strictSame(findStreamFaults(stand.updates), [])
  })

  t.test('may end the very mission, which then has one ending', async (t) => {
    const stand = build({ serializers: { error: (value) => { stand.missions.get('a')!.complete(); return value } } })
    const mission = stand.missions.start({ id: 'a', name: 'job' })
    t.strictSame(mission.fail(new Error('x')), { applied: false, reason: 'terminal' })
    t.match(mission.view(), { status: 'completed', error: null, lateOutcome: 'error' })
    t.match(stand.missions.stats(), { active: 0, completed: 1, errors: 0, total: 1 })
    t.strictSame(findStreamFaults(stand.updates), [])
  })
})

t.test('tasks', async (t) => {
  t.test('are kept up to 200, and the others counted', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    for (let i = 1; i <= 250; i++) mission.progress(progressOf(i))
    for (let i = 1; i <= 250; i++) mission.progress({ ...progressOf(i), status: 'done' })
    const { tasks, tasksOmitted } = mission.view()
    t.equal(tasks.length, 200)
    t.equal(tasksOmitted, 50)
    t.strictSame(tasks.at(-1), { taskId: 'task 200', index: 200, status: 'done' })
    t.ok(tasks.every(({ status }) => status === 'done'))
  })

  t.test('are counted right in whatever order they report', async (t) => {
    const { missions } = build({ maxTasks: 20 })
    const mission = missions.start('job')
    for (let i = 0; i < 37; i++) mission.progress(progressOf((i * 23) % 37 + 1))
    t.equal(mission.view().tasks.length, 20)
    t.equal(mission.view().tasksOmitted, 17)
  })

  t.test('that are not kept are counted once, and no gap in the places is taken for one', async (t) => {
    const { missions } = build({ maxTasks: 2 })
    const mission = missions.start('job')
    mission.progress(progressOf(1))
    t.equal(mission.view().tasksOmitted, 0)
    mission.progress(progressOf(500))
    t.equal(mission.view().tasksOmitted, 0)
    mission.progress(progressOf(1_000))
    t.equal(mission.view().tasksOmitted, 1)
  })

  t.test('that run as functions have their place beyond the bound too', async (t) => {
    const { missions, updates, clock } = build({ maxTasks: 2 })
    const mission = missions.start('job')
    for (const taskId of ['a', 'b', 'c', 'd']) {
      await mission.task(taskId, () => { clock.advance(100) })
      clock.advance(100)
    }
    t.strictSame(updates.flatMap(({ progress }) => progress?.status === 'completed' ? [progress.index] : []), [1, 2, 3, 4])
    t.match(mission.view(), { tasks: [{ taskId: 'a' }, { taskId: 'b' }], tasksOmitted: 2 })
  })
})

t.test('progress', async (t) => {
  const busy = (everyMs: number, options: Parameters<typeof build>[0] = {}) => {
    const stand = build(options)
    const told: Array<{ at: number, index: number }> = []
    stand.missions.on('mission_update', ({ progress, status }) => { if (status === 'execution_progress') told.push({ at: stand.clock.monotonic(), index: progress!.index }) })
    const mission = stand.missions.start('job')
    for (let i = 1; i <= 1_000; i++) {
      mission.progress(progressOf(i))
      stand.clock.advance(everyMs)
    }
    return { ...stand, mission, told }
  }

  for (const perSecond of [10, 2, 37]) {
    t.test(`is told at most ${perSecond} times in any second, and the newest wins`, async (t) => {
      const { told } = busy(7, { maxProgressPerSecond: perSecond })
      t.ok(told.every(({ at }) => told.filter((other) => other.at >= at && other.at < at + 1_000).length <= perSecond))
      t.ok(told.length >= 5 * perSecond, 'and not much less often')
      t.ok(told.every(({ at, index }) => 7 * (index - 1) <= at && at <= 7 * index), 'each the newest at its time')
    })
  }

  t.test('is told at once when it is the first, or when the last is long ago', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    for (let i = 1; i <= 3; i++) {
      mission.progress(progressOf(i))
      t.equal(updates.at(-1)!.progress!.index, i)
      clock.advance(100)
    }
    t.equal(updates.length, 4)
  })

  t.test('of one mission does not slow that of another', async (t) => {
    const { missions, updatesOf } = build()
    for (const id of ['a', 'b', 'c']) {
      missions.start({ id, name: 'job' }).progress(progressOf(1))
      t.equal(updatesOf(id).length, 2)
    }
  })

  t.test('that is the last always comes before the ending', async (t) => {
    for (const status of ['completed', 'cancelled', 'error'] as const) {
      const { mission, updates } = busy(3)
      mission.progress(progressOf(5_000))
      mission.report(status)
      t.match(updates.slice(-2), [{ status: 'execution_progress', progress: { index: 5_000 } }, { status }])
      t.equal(updates.at(-1)!.progress, undefined)
      t.strictSame(findStreamFaults(updates), [])
    }
  })

  t.test('that comes with the ending itself is told with it', async (t) => {
    const { missions, updates } = build()
    missions.start('job').report('completed', { progress: progressOf(9, 9) })
    t.match(updates.at(-1), { status: 'completed', progress: progressOf(9, 9) })
  })

  t.test('waits for nobody once it was told, and nothing is told twice', async (t) => {
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

  t.test('keeps with the newest what came with one that it replaces', async (t) => {
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

  t.test('is paced from the request to cancel on, which shows it too', async (t) => {
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

  t.test('shows a plan as it was when it was reported, also when it waits', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    const plan = { steps: 1 }
    mission.progress(progressOf(1))
    mission.report('execution_progress', { progress: progressOf(2), planningSession: plan })
    plan.steps = 2
    clock.advance(100)
    t.strictSame(updates.at(-1)!.planningSession, { steps: 1 })
  })

  t.test('is neither built nor kept while nobody listens', async (t) => {
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
    t.equal(built, 2, 'only for reports that somebody listened to')
    t.strictSame(updates.map(({ seq, progress }) => [seq, progress?.index]), [[1, 2]])
    t.match(mission.view(), { status: 'completed', progress: { index: 3 }, seq: 1 })
  })

  t.test('that waited when the last listener left is not told to the next one', async (t) => {
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

/** A proxy on which every operation throws. */
function closedProxy<T extends object> (target: T): T {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}
