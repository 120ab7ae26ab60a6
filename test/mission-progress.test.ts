import fc from 'fast-check'
import t from 'tap'
import type { ProgressInput } from '../lib/index.js'
import { CutCounter } from '../lib/missions/input/cut-counter.js'
import { taskIdOf as readTaskId } from '../lib/missions/input/text.js'
import { cutVisibly } from '../lib/missions/payload/text.js'
import type { Progress } from '../schemas/index.js'
import { boot } from './support/app.js'
import { connect } from './support/client.js'
import { build, defer, findStreamFaults } from './support/missions.js'

const taskIdOf = (id: unknown): string => readTaskId(id, new CutCounter())

/** Whether `text` has no half of a surrogate pair. */
const isWellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text)

t.test('text that is cut', async (t) => {
  t.test('is kept whole up to its limit, and ends visibly beyond it', async (t) => {
    t.equal(cutVisibly('abcd', 4), 'abcd')
    t.equal(cutVisibly('abcde', 4), 'abc…')
    t.equal(cutVisibly('ab😀de', 4), 'ab…', 'a surrogate pair is not split')
    t.equal(cutVisibly('a😀bcd', 4), 'a😀…')
  })

  t.test('never exceeds its limit, and never gains half a character', async () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.integer({ min: 1, max: 20 }), (text, max) => {
      const cut = cutVisibly(text, max)
      return cut.length <= max && isWellFormed(cut) && (cut === text || text.startsWith(cut.slice(0, -1)))
    }))
  })
})

t.test('the id of a task', async (t) => {
  t.test('is text up to 256 characters, or a number as text', async (t) => {
    t.equal(taskIdOf('i'.repeat(256)), 'i'.repeat(256))
    t.equal(taskIdOf(7), '7')
    t.equal(taskIdOf(2n ** 64n), '18446744073709551616')
    for (const id of ['', undefined, null, true, Symbol('id'), {}, ['a'], () => 'a']) t.equal(taskIdOf(id), 'unnamed')
  })

  t.test('ends in a hash of the whole beyond that, so that long ids stay different', async (t) => {
    const key = 'reports/2026/'.repeat(80)
    const [one, other] = [taskIdOf(`${key}1`), taskIdOf(`${key}2`)]
    t.match(one, /^(reports\/2026\/){18}reports\/2026#[0-9a-f]{8}…$/)
    t.equal(one.length, 256)
    t.not(one, other)
    t.equal(taskIdOf(`${key}1`), one)
    t.equal(taskIdOf(`${'i'.repeat(245)}😀${'i'.repeat(20)}`).length, 255, 'a surrogate pair is not split')
    t.ok(isWellFormed(taskIdOf(`${'i'.repeat(245)}😀${'i'.repeat(20)}`)))
  })

  t.test('has eight digits of hash, also where the hash begins with zeros', async (t) => {
    const ids = Array.from({ length: 300 }, (_, i) => taskIdOf('i'.repeat(300) + i))
    t.ok(ids.every((id) => /#[0-9a-f]{8}…$/.test(id)))
    t.ok(ids.some((id) => id.includes('#0')))
    t.equal(new Set(ids).size, 300)
  })
})

/** The progress on the wire after each report, on a mission of its own; `null` for a report without progress. */
function wireOf (...inputs: unknown[]): Array<Progress | null> {
  const { missions, updates, clock } = build()
  const mission = missions.start('job')
  return inputs.map((input) => {
    clock.advance(1_000)
    mission.progress(input as ProgressInput)
    const { progress } = updates.at(-1)!
    t.strictSame(mission.view().progress, progress ?? null)
    return progress ?? null
  })
}

const overall = (index: number, total: number, status: string, fraction?: number): Progress =>
  ({ taskId: 'mission', index, total, status, ...(fraction === undefined ? {} : { fraction }) })

const task = (index: number, total: number, status: string, fraction?: number): Progress =>
  ({ ...overall(index, total, status, fraction), taskId: 'a' })

/** A copy of an object with getters that throw. */
function throwing (names: readonly string[], object: object): object {
  const copy = { ...object }
  for (const name of names) Object.defineProperty(copy, name, { get () { throw new Error('canary') } })
  return copy
}

const INPUTS: ReadonlyArray<readonly [what: string, input: unknown, expected: Progress | null]> = [
  ['a number is a percentage', 42, overall(42, 100, 'running', 0.42)],
  ['7 %, whose share is not exact', 7, overall(7, 100, 'running', 0.07)],
  ['half a percent', 0.5, overall(1, 100, 'running', 0.005)],
  ['nothing yet', 0, overall(1, 100, 'running', 0)],
  ['negative zero', -0, overall(1, 100, 'running', 0)],
  ['a negative percentage', -5, overall(1, 100, 'running', 0)],
  ['everything', 100, overall(100, 100, 'completed', 1)],
  ['more than everything', 140, overall(100, 100, 'completed', 1)],
  ['a percentage as a BigInt', 42n, overall(42, 100, 'running', 0.42)],
  ['NaN', NaN, null],
  ['an infinite number', Infinity, null],
  ['a text', 'resizing', overall(1, 1, 'resizing')],
  ['a text of digits', '42', overall(1, 1, '42')],
  ['a long text', 'x'.repeat(100), overall(1, 1, `${'x'.repeat(63)}…`)],
  ['an empty text', '', null],
  ['a boolean', true, null],
  ['null', null, null],
  ['nothing', undefined, null],
  ['an empty object', {}, null],
  ['a list', [1, 2], null],
  ['an object with other keys', { rows: 7 }, null],
  ['an object with keys that say nothing', { percent: NaN, index: 'many', total: {}, status: '', done: true, progress: {} }, null],

  ['a complete object', { taskId: 'a', index: 2, total: 4, status: 'done' }, task(2, 4, 'done', 0.5)],
  ['the last of them', { taskId: 'a', index: 4, total: 4, status: 'done' }, task(4, 4, 'done', 1)],
  ['an item that has started', { taskId: 'a', index: 2, total: 4, status: 'started' }, task(2, 4, 'started', 0.25)],
  ['with an index above the total', { taskId: 'a', index: 6, total: 4, status: 'done' }, task(6, 6, 'done', 1)],
  ['with a fractional index', { taskId: 'a', index: 2.5, total: 4, status: 'done' }, task(3, 4, 'done', 0.625)],
  ['with a huge total', { taskId: 'a', index: 1, total: 2 ** 60, status: 'done' }, task(1, Number.MAX_SAFE_INTEGER, 'done', 2 ** -60)],
  ['with a percentage too', { taskId: 'a', index: 2, total: 4, status: 'done', percent: 42 }, task(2, 4, 'done', 0.42)],
  ['with a fraction too', { taskId: 'a', index: 2, total: 4, status: 'done', fraction: 0.42 }, task(2, 4, 'done', 0.42)],
  ['without a status', { taskId: 'a', index: 2, total: 4 }, task(2, 4, 'running', 0.5)],
  ['without a status at the end', { taskId: 'a', index: 4, total: 4 }, task(4, 4, 'completed', 1)],
  ['with a long status', { taskId: 'a', index: 1, total: 2, status: 'x'.repeat(65) }, task(1, 2, `${'x'.repeat(63)}…`, 0.5)],
  ['with a status of 64 characters', { taskId: 'a', index: 1, total: 2, status: 'x'.repeat(64) }, task(1, 2, 'x'.repeat(64), 0.5)],
  ['with a number as its status', { taskId: 'a', index: 1, total: 2, status: 3 }, task(1, 2, '3', 0.5)],
  ['with no number as its status', { taskId: 'a', index: 1, total: 2, status: NaN }, task(1, 2, 'running', 0.5)],
  ['without a task', { index: 3, total: 4 }, overall(3, 4, 'running', 0.75)],
  ['with null for its task', { taskId: null, index: 3, total: 4 }, overall(3, 4, 'running', 0.75)],
  ['with an empty task', { taskId: '', index: 3, total: 4 }, { ...task(3, 4, 'running', 0.75), taskId: 'unnamed' }],
  ['with a number as its task', { taskId: 5, index: 3, total: 4 }, { ...task(3, 4, 'running', 0.75), taskId: '5' }],
  ['with a task that cannot be text', { taskId: Symbol('x'), index: 3, total: 4 }, { ...task(3, 4, 'running', 0.75), taskId: 'unnamed' }],
  ['with a task of 256 characters', { taskId: 'i'.repeat(256), index: 1, total: 4, status: 'done' }, { ...task(1, 4, 'done', 0.25), taskId: 'i'.repeat(256) }],
  ['with a task of 5,000 characters', { taskId: 'i'.repeat(5_000), index: 1, total: 4, status: 'done' }, { ...task(1, 4, 'done', 0.25), taskId: taskIdOf('i'.repeat(5_000)) }],
  ['a task alone', { taskId: 'a' }, task(1, 1, 'running')],

  ['index 0', { index: 0, total: 4 }, overall(1, 4, 'running', 0)],
  ['index 0 without a total', { index: 0 }, overall(1, 1, 'running', 0)],
  ['index 0 that has started', { index: 0, total: 4, status: 'started' }, overall(1, 4, 'started', 0)],
  ['a negative index', { index: -3, total: 4 }, overall(1, 4, 'running', 0)],
  ['0 of 0', { index: 0, total: 0 }, overall(1, 1, 'running')],
  ['5 of 0', { index: 5, total: 0 }, overall(5, 5, 'running')],
  ['an unknown total', { index: 5 }, overall(5, 5, 'running')],
  ['a negative total', { index: 5, total: -1 }, overall(5, 5, 'running')],
  ['a total alone', { total: 5 }, overall(1, 5, 'running')],
  ['a total of nothing', { total: 0 }, overall(1, 1, 'running')],
  ['a task with a total alone', { taskId: 'a', total: 5 }, task(1, 5, 'running')],
  ['an index above the total', { index: 6, total: 4 }, overall(6, 6, 'completed', 1)],
  ['an index above the total that has started', { index: 5, total: 4, status: 'started' }, overall(5, 5, 'started', 0.8)],
  ['a fractional index', { index: 2.5, total: 10 }, overall(3, 10, 'running', 0.25)],
  ['a fractional index that has started', { index: 0.5, total: 10, status: 'started' }, overall(1, 10, 'started', 0)],
  ['a fractional total', { index: 2.5, total: 2.5 }, overall(3, 3, 'completed', 1)],
  ['huge numbers', { index: 1e300, total: 4e300 }, overall(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 'running', 0.25)],
  ['an infinite total', { index: 5, total: Infinity }, overall(5, 5, 'running')],
  ['counts as text', { index: '3', total: ' 4 ' }, overall(3, 4, 'running', 0.75)],
  ['blank text as a count', { index: ' ', total: 4 }, overall(1, 4, 'running')],
  ['counts as too long text', { index: '3', total: '4'.padEnd(33) }, overall(3, 3, 'running')],
  ['counts as BigInts', { index: 3n, total: 4n }, overall(3, 4, 'running', 0.75)],

  ['a percentage', { percent: 42 }, overall(42, 100, 'running', 0.42)],
  ['a percentage as text', { percent: '42.5' }, overall(43, 100, 'running', 0.425)],
  ['a fraction', { fraction: 0.5 }, overall(50, 100, 'running', 0.5)],
  ['a tiny fraction', { fraction: 1e-12 }, overall(1, 100, 'running', 1e-12)],
  ['a fraction above 1', { fraction: 1.5 }, overall(100, 100, 'completed', 1)],
  ['a fraction below 0', { fraction: -0.5 }, overall(1, 100, 'running', 0)],
  ['a fraction and a percentage', { fraction: 0.5, percent: 42 }, overall(50, 100, 'running', 0.5)],
  ['a fraction of a total', { fraction: 0.5, total: 7 }, overall(4, 7, 'running', 0.5)],
  ['a fraction of a total of nothing', { fraction: 0.5, total: 0 }, overall(50, 100, 'running', 0.5)],
  ['a fraction beside counts', { index: 1, total: 4, fraction: 0.9 }, overall(1, 4, 'running', 0.9)],
  ['a fraction beside an item that has started', { index: 1, total: 4, fraction: 0.9, status: 'started' }, overall(1, 4, 'started', 0.9)],
  ['a fraction beside an index', { index: 3, percent: 50 }, overall(3, 3, 'running', 0.5)],
  ['a fraction beside 0 of 0', { index: 0, total: 0, percent: 50 }, overall(1, 1, 'running', 0.5)],
  ['a percentage of a task', { taskId: 'a', percent: 42 }, task(42, 100, 'running', 0.42)],

  ['synonyms of counts', { current: 3, of: 4 }, overall(3, 4, 'running', 0.75)],
  ['other synonyms of counts', { processed: 3, count: 4 }, overall(3, 4, 'running', 0.75)],
  ['a synonym that is no number', { completed: false, done: 3, total: 4 }, overall(3, 4, 'running', 0.75)],
  ['completed items', { completed: 3, total: 4 }, overall(3, 4, 'running', 0.75)],
  ['synonyms of a percentage', { progress: 42, message: 'resizing' }, overall(42, 100, 'resizing', 0.42)],
  ['other synonyms of a percentage', { percentage: 42, state: '', stage: 'resizing' }, overall(42, 100, 'resizing', 0.42)],
  ['a name and its synonym', { index: 1, current: 3, total: 4, status: 'one', message: 'two' }, overall(1, 4, 'one', 0.25)],

  ['a getter that throws', throwing(['taskId'], { index: 3, total: 4 }), overall(3, 4, 'running', 0.75)],
  ['a synonym that throws', throwing(['current'], { processed: 3, total: 4 }), overall(3, 4, 'running', 0.75)],
  ['a proxy', new Proxy({ index: 3, total: 4 }, {}), overall(3, 4, 'running', 0.75)],
  ['a proxy that throws', new Proxy({}, { get () { throw new Error('canary') } }), null]
]

t.test('reported progress', async (t) => {
  t.test('is read within the limits of the wire', async (t) => {
    for (const [what, input, expected] of INPUTS) t.strictSame(wireOf(input), [expected], what)
  })

  t.test('is the same through every method that takes it', async (t) => {
    for (const [what, input, expected] of INPUTS) {
      const { missions, updates } = build()
      const progress = input as ProgressInput
      missions.start({ id: 'known', name: 'job' }).report('execution_progress', { progress })
      missions.report('unknown', 'execution_progress', { progress })
      t.strictSame(updates.slice(-2).map((update) => update.progress ?? null), [expected, expected], what)
      t.strictSame(findStreamFaults(updates), [], what)
    }
  })

  t.test('without any progress shows that the work is alive', async (t) => {
    const { missions, clock } = build({ stallMs: 1_000 })
    const mission = missions.start('job')
    for (const input of [true, null, NaN, '', {}, [], { rows: 7 }]) {
      clock.advance(600)
      mission.progress(input)
      t.equal(mission.isStalled, false)
      mission.waiting('a lock')
      mission.progress(input)
      t.match(mission.view(), { waiting: null, progress: null })
    }
    t.strictSame(mission.progress(true), { applied: false, reason: 'repeated' })
  })

  t.test('is shown as it comes, also when it goes back or its total changes', async (t) => {
    t.strictSame(wireOf({ index: 5, total: 9 }, { index: 2, total: 9 }, { index: 2, total: 4 }, { index: 9, total: 10 }),
      [overall(5, 9, 'running', 5 / 9), overall(2, 9, 'running', 2 / 9), overall(2, 4, 'running', 0.5), overall(9, 10, 'running', 0.9)])
  })

  t.test('of nothing yet does not keep earlier numbers', async (t) => {
    t.strictSame(wireOf(42, { index: 0 }), [overall(42, 100, 'running', 0.42), overall(1, 1, 'running', 0)])
  })

  t.test('that is only text keeps the numbers of the mission, and a task shows its position', async (t) => {
    t.strictSame(wireOf(42, 'resizing', { total: 200 }), [
      overall(42, 100, 'running', 0.42), overall(42, 100, 'resizing', 0.42), overall(1, 200, 'running')
    ])
    t.strictSame(wireOf({ taskId: 'b', index: 2, total: 4 }, 'resizing'), [{ ...task(2, 4, 'running', 0.5), taskId: 'b' }, overall(1, 2, 'resizing')])
    t.strictSame(wireOf({ taskId: 'a', percent: 42 }, { taskId: 'a', status: 'one' }), [task(42, 100, 'running', 0.42), task(1, 1, 'one')])
  })

  t.test('that waits for its turn is not dropped by a report without progress', async (t) => {
    const { missions, updates, clock } = build()
    const mission = missions.start('job')
    for (const progress of [10, 20, 30]) mission.report('planned', { progress })
    mission.report('planned', { progress: true, planningSession: { steps: 2 } })
    clock.advance(1_000)
    t.match(updates.at(-1), { status: 'planned', progress: overall(30, 100, 'running', 0.3), planningSession: { steps: 2 } })
  })

  t.test('without a total takes the number of known tasks', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    mission.tasksGenerated(['a', 'b', 'c'])
    mission.progress({ index: 2 })
    t.strictSame(mission.view().progress, overall(2, 3, 'running'))
    mission.progress({ index: 7 })
    t.strictSame(mission.view().progress, overall(7, 7, 'running'))
    mission.progress({ taskId: 'a', status: 'done' })
    t.strictSame(mission.view().progress, task(1, 3, 'done'))
  })

  t.test('is new if only its fraction differs', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    for (const fraction of [undefined, 0.5, 0.6, NaN, 0]) {
      t.strictSame(mission.progress({ index: 1, total: 0, fraction }), { applied: true }, String(fraction))
      t.strictSame(mission.progress({ index: 1, total: 0, fraction }), { applied: false, reason: 'repeated' }, String(fraction))
    }
    mission.progress('resizing')
    t.strictSame(mission.progress('resizing'), { applied: false, reason: 'repeated' })
  })

  t.test('is any JSON value, or any object that works against its reader, and never throws', async () => {
    const keys = ['taskId', 'index', 'total', 'status', 'percent', 'fraction', 'current', 'of', 'progress', 'message']
    const value = fc.oneof(fc.jsonValue(), fc.double(), fc.bigInt(), fc.string({ unit: 'binary', maxLength: 600 }),
      fc.constantFrom('started', 0, -0, NaN, undefined, Symbol('x'), () => 1))
    const known = fc.dictionary(fc.constantFrom(...keys), value)
    const hostile = fc.tuple(known, fc.subarray(keys)).map(([object, names]) => throwing(names, object))
    fc.assert(fc.property(fc.array(fc.oneof(fc.jsonValue(), known, hostile), { maxLength: 8 }), (inputs) => {
      const { missions, updates, clock } = build()
      const mission = missions.start('job')
      for (const input of inputs) {
        mission.progress(input as ProgressInput)
        mission.report('execution_progress', { progress: input as ProgressInput })
        clock.advance(1_000)
      }
      const progresses = updates.flatMap(({ progress }) => progress ?? [])
      return findStreamFaults(updates).length === 0 && progresses.every(({ index, total }) => index <= total)
    }), { numRuns: 300 })
  })

  t.test('is whatever a BullMQ worker passes to updateProgress', async (t) => {
    t.strictSame(wireOf('resizing', true, 42, { percent: 50, file: 'a.jpg' }),
      [overall(1, 1, 'resizing'), overall(1, 1, 'resizing'), overall(42, 100, 'running', 0.42), overall(50, 100, 'running', 0.5)])
  })
})

t.test('progress and the tasks of a mission', async (t) => {
  t.test('progress of the whole mission is no task and takes no index', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    for (const input of [42, 'resizing', { index: 500, total: 1_000 }, { fraction: 0.9 }]) mission.progress(input)
    t.strictSame(mission.view().tasks, [])
    await mission.task('first', () => {})
    t.strictSame(mission.view().progress, { taskId: 'first', index: 1, total: 1, status: 'completed' })
  })

  t.test('a task named mission is a task', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    await mission.task('mission', () => {})
    t.match(mission.view().tasks, [{ taskId: 'mission', index: 1, status: 'completed' }])
  })

  t.test('a share of a task keeps the position of the task', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    mission.progress({ taskId: 'one', index: 1, total: 3, status: 'done' })
    mission.progress({ taskId: 'two', percent: 42 })
    mission.progress({ taskId: 'one', percent: 7 })
    mission.progress({ taskId: 'two', percent: 100 })
    t.match(mission.view().tasks,
      [{ taskId: 'one', index: 1, status: 'running' }, { taskId: 'two', index: 2, status: 'completed' }])
    mission.progress({ taskId: 'three', status: 'done' })
    t.strictSame(mission.view().progress, { taskId: 'three', index: 3, total: 3, status: 'done' })
  })

  t.test('the index after the highest possible one is the same', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    mission.progress({ taskId: 'a', index: Number.MAX_SAFE_INTEGER, total: 1e300, status: 'done' })
    await mission.task('b', () => {})
    t.equal(mission.view().progress!.index, Number.MAX_SAFE_INTEGER)
    t.strictSame(findStreamFaults(updates), [])
  })
})

t.test('a function that runs as a task', async (t) => {
  t.test('runs with any id', async (t) => {
    const { missions, updates } = build()
    const mission = missions.start('job')
    const path = `customers/2026/${'a very long folder/'.repeat(6)}part-0001.csv`
    t.equal(path.length, 142)
    for (const id of [path, '', 'x'.repeat(5_000), undefined, null, Symbol('x'), 7, {}] as string[]) {
      t.equal(await mission.task(id, () => 'ran'), 'ran')
    }
    t.strictSame(mission.view().tasks.map(({ taskId }) => taskId), [path, 'unnamed', taskIdOf('x'.repeat(5_000)), '7'])
    t.strictSame(findStreamFaults(updates), [])
  })

  t.test('reports which part of the planned tasks is finished', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    const fraction = () => mission.view().progress!.fraction
    await mission.task('a', () => {})
    t.equal(fraction(), undefined, 'without a plan it is unknown')
    mission.report('execution_progress', { tasksSummary: ['a', 'b', 'c', 'd'] })
    const gates = [defer(), defer()]
    const running = [mission.task('b', () => gates[0]!.promise), mission.task('c', () => gates[1]!.promise)]
    t.equal(fraction(), 1 / 4, 'a task that has started is not finished')
    gates[1]!.reject(new Error('it broke'))
    await t.rejects(running[1]!)
    t.equal(fraction(), 2 / 4, 'a failed task is finished')
    gates[0]!.resolve()
    await running[0]
    t.equal(fraction(), 3 / 4)
    await mission.task('c', () => { t.equal(fraction(), 2 / 4, 'a task that runs again is not finished') })
    t.equal(fraction(), 3 / 4, 'a task that ran twice counts once')
    await mission.task('d', () => {})
    t.equal(fraction(), 1)
    await mission.task('e', () => { t.equal(fraction(), 4 / 5, 'a task beyond the plan counts too') })
    t.equal(fraction(), 1)
  })

  t.test('counts tasks that are reported otherwise, and those that are not kept', async (t) => {
    const { missions } = build()
    const mission = missions.start('job')
    mission.tasksGenerated(Array.from({ length: 400 }, (_, i) => i))
    for (let index = 1; index <= 299; index++) mission.progress({ taskId: `task ${index}`, index, total: 400, status: 'completed' })
    mission.progress({ taskId: 'task 1', index: 1, total: 400, status: 'checked' })
    const run = async (taskId: string) => {
      await mission.task(taskId, () => {})
      return mission.view().progress!.fraction
    }
    t.equal(await run('task 300'), 299 / 400)
    t.equal(await run('task 300'), 300 / 400, 'one that is not kept counts again')
    for (let times = 0; times < 200; times++) await run('task 301')
    t.equal(await run('task 302'), 501 / 502, 'beyond the plan too')
    for (const taskId of ['task 250', 'task 251', 'task 250']) mission.progress({ taskId, index: 250, total: 400, status: 'completed' })
    t.equal(await run('task 303'), 1, 'never above 1')
  })
})

t.test('a client receives progress of every kind over a socket', async (t) => {
  const app = await boot(t, { missions: { maxProgressPerSecond: 1_000 } })
  const client = await (await connect(app)).subscribe('mission_update')
  const mission = app.missions.start('job')
  for (const input of [42, 'resizing', { taskId: 'a', index: 1, total: 4, status: 'done' }, { taskId: 'k'.repeat(1_024), index: 5 }]) {
    mission.progress(input)
    const { payload } = await client.next('mission_update', ({ payload }) => payload.progress !== undefined)
    t.strictSame(payload.progress, mission.view().progress)
  }
  t.match(mission.view().progress, { taskId: /^k+#[0-9a-f]{8}…$/, index: 5, total: 5 })
})
