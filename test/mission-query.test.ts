import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import t from 'tap'
import type { Mission, SubscribeFilter } from '../lib/missions/index.js'
import { TERMINAL_STATUSES, type MissionQuery, type MissionStatus, type MissionView } from '../schemas/index.js'
import { uncaught } from './support/app.js'
import { build, settle } from './support/missions.js'

const HOUR_MS = 3_600_000

const ids = ({ missions }: { missions: readonly MissionView[] }) => missions.map(({ id }) => id)

/** What a promise has come to by now: its value, the code of its error, or `pending`. */
async function peek (promise: Promise<unknown>): Promise<unknown> {
  let state: unknown = 'pending'
  promise.then((value) => { state = value }, (err) => { state = err.code ?? err })
  await settle()
  return state
}

/** Reads what is there by now; a read that found nothing yet stays open and counts for the next time. */
class Reader {
  readonly #views: AsyncGenerator<MissionView>
  #open: Promise<IteratorResult<MissionView>> | undefined

  constructor (views: AsyncGenerator<MissionView>) {
    this.#views = views
  }

  async drain (): Promise<{ read: MissionView[], isOver: boolean }> {
    const read: MissionView[] = []
    for (;;) {
      this.#open ??= this.#views.next()
      const next = await peek(this.#open) as 'pending' | IteratorResult<MissionView>
      if (next === 'pending') return { read, isOver: false }
      this.#open = undefined
      if (next.done === true) return { read, isOver: true }
      read.push(next.value)
    }
  }
}

const drain = async (views: AsyncGenerator<MissionView>) => await new Reader(views).drain()

/** Counts how often anybody takes a picture of the mission, which every reader does at every change. */
function countViews (mission: Mission): () => number {
  let count = 0
  const view = mission.view.bind(mission)
  mission.view = () => {
    count++
    return view()
  }
  return () => count
}

t.test('list', async (t) => {
  t.test('shows the missions that fit every condition, newest first', async (t) => {
    const { missions, clock } = build({ stallMs: 10_000 })
    const start = clock.now()
    missions.start({ id: 'a', name: 'import', tags: ['nightly', 'big'], tenant: 'acme', objective: 'All ROWS of May' })
    clock.advance(1_000)
    missions.start({ id: 'b', name: 'import', tags: ['nightly'], tenant: 'other' }).executionStarted()
    clock.advance(1_000)
    missions.start({ id: 'Row-c', name: 'export', tags: ['big'], tenant: 'acme' }).complete()
    clock.advance(8_000)
    const cases: Array<[MissionQuery, string[]]> = [
      [{}, ['Row-c', 'b', 'a']],
      [{ status: 'planning_started' }, ['a']],
      [{ status: 'completed' }, ['Row-c']],
      [{ status: 'error' }, []],
      [{ name: 'import' }, ['b', 'a']],
      [{ name: 'Import' }, []],
      [{ tag: 'nightly' }, ['b', 'a']],
      [{ tag: 'night' }, []],
      [{ tenant: 'acme' }, ['Row-c', 'a']],
      [{ stalled: true }, ['a']],
      [{ stalled: false }, ['Row-c', 'b']],
      [{ since: start + 1_000 }, ['Row-c', 'b']],
      [{ until: start + 1_000 }, ['a']],
      [{ since: start + 1, until: start + 2_000 }, ['b']],
      [{ q: 'row' }, ['Row-c', 'a']],
      [{ q: 'MPO' }, ['b', 'a']],
      [{ q: 'of may' }, ['a']],
      [{ q: '' }, ['Row-c', 'b', 'a']],
      [{ q: '.*' }, []],
      [{ name: 'import', tag: 'big', tenant: 'acme', stalled: true, status: 'planning_started', q: 'may', since: start, until: start + 1 }, ['a']],
      [{ name: 'import', tenant: 'acme', stalled: false }, []],
      [{ status: undefined, name: undefined } as unknown as MissionQuery, ['Row-c', 'b', 'a']]
    ]
    for (const [query, expected] of cases) t.strictSame(ids(missions.list(query)), expected, JSON.stringify(query))
  })

  t.test('gives pages of at most 200, 50 if it is not told', async (t) => {
    const { missions } = build()
    for (let i = 0; i < 401; i++) missions.start({ id: `m${i}`, name: 'job' })
    t.equal(missions.list().missions.length, 50)
    const pages = []
    for (let cursor: string | null | undefined; cursor !== null;) {
      const page = missions.list({ limit: 200, ...(cursor !== undefined && { cursor }) })
      pages.push(page.missions.length)
      cursor = page.nextCursor
    }
    t.strictSame(pages, [200, 200, 1])
    t.equal(missions.list({ limit: 1, cursor: missions.list({ limit: 1 }).nextCursor! }).missions[0]!.id, 'm399')
    t.equal(missions.list({ limit: 200, q: 'm40' }).nextCursor, null, 'the last page has no next one')
    t.equal(missions.list({ limit: 1, q: 'm400' }).nextCursor, null, 'also when it is full')
  })

  t.test('refuses what is no query, with a code', async (t) => {
    const { missions } = build()
    for (const query of [{ limit: 0 }, { limit: 201 }, { limit: 1.5 }, { cursor: '' }, { cursor: 'x' }, { cursor: '1'.repeat(17) }, { cursor: 5 }, { since: NaN }, { since: '5' },
      { tag: ['a'] }, { stalled: 'yes' }, { q: 'x'.repeat(129) }, { unknown: 1 }]) {
      t.throws(() => missions.list(query as MissionQuery), { code: 'FST_MC_INVALID_MISSION' }, JSON.stringify(query))
    }
    for (const query of [null, 'all', 5] as never[]) t.throws(() => missions.list(query), { code: 'FST_MC_INVALID_MISSION', message: /query must be an object/ })
    t.throws(() => missions.list({ status: 'done' as MissionStatus }), { code: 'FST_MC_UNKNOWN_STATUS' })
  })

  t.test('leaves out what a viewer may not see, and still fills its pages', async (t) => {
    const { missions, registry } = build()
    for (let i = 0; i < 10; i++) missions.start({ id: `m${i}`, name: 'job', tenant: i % 2 === 0 ? 'acme' : 'other' })
    const isVisible = ({ tenant }: { tenant: string | null }) => tenant === 'acme'
    const first = registry.list({ limit: 3 }, isVisible)
    t.strictSame(ids(first), ['m8', 'm6', 'm4'])
    const second = registry.list({ limit: 3, cursor: first.nextCursor! }, isVisible)
    t.strictSame(ids(second), ['m2', 'm0'])
    t.equal(second.nextCursor, null)
  })

  t.test('never shows a mission twice nor skips one, whatever starts, ends or is forgotten between two pages', async () => {
    type Act = { kind: 'start' | 'end' | 'wait', at: number }
    const act = fc.record({ kind: fc.constantFrom<Act['kind']>('start', 'end', 'wait'), at: fc.nat(60) })
    fc.assert(fc.property(fc.array(fc.array(act, { maxLength: 12 }), { maxLength: 20 }), fc.integer({ min: 1, max: 5 }), (rounds, limit) => {
      const { missions, clock } = build({ maxEnded: 3, endedRetentionMs: 500 })
      for (let i = 0; i < 20; i++) missions.start({ id: `m${i}`, name: 'job' })
      const begun = ids(missions.list({ limit: 200 }))
      const seen: string[] = []
      const gone = new Set<string>()
      let cursor: string | undefined
      for (let i = 0; ; i++) {
        const page = missions.list({ limit, ...(cursor !== undefined && { cursor }) })
        seen.push(...ids(page))
        if (page.nextCursor === null) break
        cursor = page.nextCursor
        for (const { kind, at } of rounds[i] ?? []) {
          if (kind === 'start') missions.start('new')
          if (kind === 'wait') clock.advance(at * 10)
          if (kind === 'end') missions.get(`m${at}`)?.complete()
        }
        for (const id of begun) if (missions.get(id) === undefined) gone.add(id)
      }
      const places = seen.map((id) => begun.indexOf(id))
      return new Set(seen).size === seen.length && places.every((place, i) => place >= 0 && (i === 0 || place > places[i - 1]!)) &&
        begun.every((id) => seen.includes(id) || gone.has(id))
    }), { numRuns: 300 })
  })
})

t.test('subscribe', async (t) => {
  t.test('gives those that fit now first, then every change', async (t) => {
    const { missions } = build()
    missions.start({ id: 'a', name: 'job', tenant: 'acme' })
    missions.start({ id: 'b', name: 'job', tenant: 'other' })
    missions.start({ id: 'c', name: 'job', tenant: 'acme' }).complete()
    const views = missions.subscribe({ tenant: 'acme' })
    const reader = new Reader(views)
    t.match((await reader.drain()).read, [{ id: 'a', status: 'planning_started' }, { id: 'c', status: 'completed' }])
    missions.get('a')!.executionStarted()
    missions.get('b')!.executionStarted()
    missions.start({ id: 'd', name: 'job', tenant: 'acme' })
    t.match((await reader.drain()).read, [{ id: 'a', status: 'execution_started' }, { id: 'd', status: 'planning_started' }])
    await views.return(undefined)
  })

  t.test('tells once more of a mission that no longer fits, and then no more of it', async (t) => {
    const { missions } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    const views = missions.subscribe({ status: 'planning_started' })
    const reader = new Reader(views)
    t.match((await reader.drain()).read, [{ status: 'planning_started' }])
    mission.executionStarted()
    t.match((await reader.drain()).read, [{ status: 'execution_started' }])
    mission.complete()
    t.strictSame((await reader.drain()).read, [])
    await views.return(undefined)
  })

  t.test('tells of requests to cancel, stalls, notes and lateness of progress too', async (t) => {
    const { missions, clock } = build({ stallMs: 1_000 })
    const mission = missions.start({ id: 'a', name: 'job' })
    const views = missions.subscribe({ id: 'a' })
    const reader = new Reader(views)
    await reader.drain()
    const acts: Array<[() => unknown, Partial<MissionView>]> = [
      [() => clock.advance(1_000), { stalled: true }],
      [() => mission.heartbeat(), { stalled: false }],
      [() => mission.annotate({ a: 1 }), { metadata: { a: 1 } }],
      [() => mission.waiting('for x'), { waiting: 'for x' }],
      [() => mission.cancel(), { status: 'planning_started', cancel: { requested: true, kind: 'request', reason: null, by: null } }]
    ]
    for (const [change, expected] of acts) {
      change()
      t.match((await reader.drain()).read, [expected])
    }
    await views.return(undefined)
  })

  t.test('gives a slow reader the newest state of each mission, and every ending', async (t) => {
    const { missions } = build({ maxEnded: 5 })
    const views = missions.subscribe()
    const reader = new Reader(views)
    const first = views.next()
    for (let i = 0; i < 100; i++) {
      const mission = missions.start({ id: `m${i}`, name: 'job' })
      for (let index = 1; index <= 20; index++) mission.progress({ taskId: 'a', index, total: 20, status: 'x' })
      mission.report(TERMINAL_STATUSES[i % 3]!)
    }
    const all = [(await first).value as MissionView, ...(await reader.drain()).read]
    t.strictSame(all.map(({ id }) => id), Array.from({ length: 100 }, (_, i) => `m${i}`))
    t.ok(all.every(({ status, progress }, i) => status === TERMINAL_STATUSES[i % 3] && progress!.index === 20))
    await views.return(undefined)
  })

  t.test('tells in the order of the last change', async (t) => {
    const { missions } = build()
    for (const id of ['a', 'b', 'c']) missions.start({ id, name: 'job' })
    const views = missions.subscribe()
    const reader = new Reader(views)
    t.equal((await views.next()).value!.id, 'a')
    missions.get('b')!.executionStarted()
    t.match((await reader.drain()).read, [{ id: 'c' }, { id: 'b', status: 'execution_started' }])
    await views.return(undefined)
  })

  t.test('of one id ends with its ending', async (t) => {
    const { missions } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    missions.start({ id: 'b', name: 'job' })
    const views = missions.subscribe({ id: 'a' })
    const reader = new Reader(views)
    t.match(await reader.drain(), { read: [{ id: 'a', status: 'planning_started' }], isOver: false })
    missions.get('b')!.complete()
    mission.executionStarted()
    mission.complete()
    const { read, isOver } = await reader.drain()
    t.strictSame(read.map(({ id, status }) => [id, status]), [['a', 'completed']])
    t.ok(isOver)
    t.strictSame(await views.next(), { done: true, value: undefined })
  })

  t.test('of one id that has ended gives its ending and ends', async (t) => {
    const { missions } = build()
    missions.report('a', 'error')
    t.match(await drain(missions.subscribe({ id: 'a' })), { read: [{ id: 'a', status: 'error' }], isOver: true })
  })

  t.test('of one id ends with its ending also when that does not fit the other conditions', async (t) => {
    const { missions } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    const views = missions.subscribe({ id: 'a', status: 'planning_started' })
    const reader = new Reader(views)
    t.equal((await reader.drain()).read.length, 1)
    mission.complete()
    t.match(await reader.drain(), { read: [], isOver: true })
    t.match(await drain(missions.subscribe({ id: 'a', status: 'planning_started' })), { read: [], isOver: true })
  })

  t.test('of an id that nobody knows waits for it to start', async (t) => {
    const { missions } = build()
    const views = missions.subscribe({ id: 'a' })
    const first = views.next()
    t.equal(await peek(first), 'pending')
    missions.start({ id: 'b', name: 'job' })
    missions.start({ id: 'a', name: 'job' })
    t.match((await first).value, { id: 'a', status: 'planning_started' })
    await views.return(undefined)
  })

  t.test('refuses what is no filter at once, with a code', async (t) => {
    const { missions } = build()
    t.throws(() => missions.subscribe({ status: 'done' as MissionStatus }), { code: 'FST_MC_UNKNOWN_STATUS' })
    for (const filter of [{ tag: 5 }, { limit: 5 }, { unknown: 1 }]) t.throws(() => missions.subscribe(filter as SubscribeFilter), { code: 'FST_MC_INVALID_MISSION' })
    for (const filter of [null, 'all', 5] as never[]) t.throws(() => missions.subscribe(filter), { code: 'FST_MC_INVALID_MISSION', message: /filter must be an object/ })
  })

  t.test('leaves no listener behind, however its reader goes', async (t) => {
    const leave: Array<[title: string, leave: (views: AsyncGenerator<MissionView>, controller: AbortController) => Promise<unknown>]> = [
      ['break', async (views) => { for await (const view of views) if (view.id === 'a') break }],
      ['throw in the loop', async (views) => { try { for await (const { id } of views) if (id === 'a') throw new Error(id) } catch (err) { t.match(err, { message: 'a' }) } }],
      ['return while nobody waits', async (views) => { await views.next(); await views.return(undefined) }],
      ['return before the first read', async (views) => { await views.return(undefined) }],
      ['return while a read waits', async (views) => {
        await views.next()
        const waiting = views.next()
        t.equal(await peek(waiting), 'pending')
        t.strictSame(await peek(views.return(undefined)), { done: true, value: undefined })
        t.strictSame(await peek(waiting), { done: true, value: undefined })
      }],
      ['throw while nobody waits', async (views) => { await views.next(); await views.throw(new Error('x')).catch(() => {}) }],
      ['abort while a read waits', async (views, controller) => {
        await views.next()
        const waiting = views.next()
        t.equal(await peek(waiting), 'pending')
        controller.abort()
        t.strictSame(await peek(waiting), { done: true, value: undefined })
      }],
      ['abort before the first read', async (views, controller) => {
        controller.abort()
        t.strictSame(await drain(views), { read: [], isOver: true })
      }]
    ]
    for (const [title, go] of leave) {
      t.test(title, async (t) => {
        const { missions } = build()
        const mission = missions.start({ id: 'a', name: 'job' })
        const controller = new AbortController()
        const views = missions.subscribe({}, { signal: controller.signal })
        t.strictSame(await uncaught(async () => { await go(views, controller) }), [])
        const count = countViews(mission)
        mission.executionStarted()
        t.equal(count(), 0)
        t.equal(getEventListeners(controller.signal, 'abort').length, 0)
        t.strictSame(await views.next(), { done: true, value: undefined })
      })
    }
  })

  t.test('gives nothing more once its signal has aborted, not even what waits', async (t) => {
    const { missions } = build()
    missions.start('a')
    missions.start('b')
    const controller = new AbortController()
    const views = missions.subscribe({}, { signal: controller.signal })
    const reader = new Reader(views)
    await views.next()
    missions.start('c')
    controller.abort()
    t.strictSame(await reader.drain(), { read: [], isOver: true })
  })

  t.test('ends when the service has closed, after all endings', async (t) => {
    const { missions, clock, registry } = build()
    missions.start({ id: 'a', name: 'job' })
    missions.start({ id: 'b', name: 'job' })
    const views = missions.subscribe()
    const reader = new Reader(views)
    await reader.drain()
    const closing = registry.shutdown()
    await reader.drain()
    const waiting = views.next()
    clock.advance(5_000)
    await closing
    registry.close()
    t.match(await peek(waiting), { value: { status: 'cancelled' } })
    t.match(await reader.drain(), { read: [{ status: 'cancelled' }], isOver: true })
    t.match(await drain(missions.subscribe()), { read: [{ id: 'a' }, { id: 'b' }], isOver: true }, 'who comes later sees what is left')
  })
})

t.test('waitFor', async (t) => {
  t.test('gives the outcome of a mission that ends, and of one that has ended', async (t) => {
    const { missions } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    const waits = Array.from({ length: 3 }, () => missions.waitFor('a'))
    t.equal(await peek(waits[0]!), 'pending')
    mission.fail({ code: 'BOOM', message: 'it broke' })
    for (const wait of [...waits, missions.waitFor('a'), missions.waitFor('a', { timeoutMs: 1 })]) t.match(await wait, { id: 'a', status: 'error', error: { code: 'BOOM' } })
  })

  t.test('rejects for a mission that nobody knows or that is forgotten', async (t) => {
    const { missions, clock } = build()
    missions.report('a', 'completed')
    t.equal(await peek(missions.waitFor('nobody')), 'FST_MC_MISSION_NOT_FOUND')
    t.equal(await peek(missions.waitFor(undefined as never)), 'FST_MC_MISSION_NOT_FOUND')
    clock.advance(HOUR_MS)
    t.equal(await peek(missions.waitFor('a')), 'FST_MC_MISSION_NOT_FOUND')
  })

  t.test('gives the outcome also where nothing that has ended is kept', async (t) => {
    const { missions } = build({ maxEnded: 0 })
    const mission = missions.start({ id: 'a', name: 'job' })
    const wait = missions.waitFor('a')
    mission.complete()
    t.match(await wait, { status: 'completed' })
  })

  t.test('waits as long as it is told to, without ending the mission', async (t) => {
    const { missions, clock } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    const wait = missions.waitFor('a', { timeoutMs: 500 })
    const soon = missions.waitFor('a', { timeoutMs: 0 })
    clock.advance(0)
    t.equal(await peek(soon), 'FST_MC_WAIT_TIMEOUT')
    clock.advance(499)
    t.equal(await peek(wait), 'pending')
    clock.advance(1)
    await t.rejects(wait, { code: 'FST_MC_WAIT_TIMEOUT', message: /500 ms/ })
    t.equal(mission.view().cancel, null)
  })

  t.test('refuses a time that no timer keeps, instead of waiting for no time at all', async (t) => {
    const { missions } = build()
    missions.start({ id: 'a', name: 'job' })
    for (const timeoutMs of [-1, 1.5, NaN, Infinity, 2 ** 31]) t.equal(await peek(missions.waitFor('a', { timeoutMs })), 'FST_MC_INVALID_MISSION')
  })

  t.test('rejects with the reason of its signal, before or while it waits', async (t) => {
    const { missions } = build()
    missions.start({ id: 'a', name: 'job' })
    const controller = new AbortController()
    const { signal } = controller
    const wait = missions.waitFor('a', { signal, timeoutMs: 500 })
    t.equal(await peek(wait), 'pending')
    t.equal(getEventListeners(signal, 'abort').length, 1)
    const reason = new Error('enough')
    controller.abort(reason)
    await wait.then(() => t.fail('resolved'), (err) => t.equal(err, reason))
    await missions.waitFor('a', { signal }).then(() => t.fail('resolved'), (err) => t.equal(err, reason))
    t.equal(getEventListeners(signal, 'abort').length, 0)
  })

  t.test('leaves neither a listener nor a timer behind, however it ends', async (t) => {
    const { missions, registry, clock } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    const state = registry.find('a')!
    let waiting = 0
    const onEnd = state.onEnd.bind(state)
    state.onEnd = (listener) => {
      waiting++
      const off = onEnd(listener)
      return () => {
        waiting--
        off()
      }
    }
    const { signal } = new AbortController()
    const aborted = new AbortController()
    const caught = await uncaught(async () => {
      const waits = [
        missions.waitFor('a', { timeoutMs: 5 }), missions.waitFor('a', { signal: aborted.signal, timeoutMs: 100 * HOUR_MS }), missions.waitFor('a', { signal, timeoutMs: 100 * HOUR_MS })
      ].map((wait) => wait.catch((err) => err))
      await settle()
      t.equal(waiting, 3)
      clock.advance(5)
      aborted.abort()
      await settle()
      t.equal(waiting, 1)
      mission.complete()
      await Promise.all(waits)
    })
    t.strictSame(caught, [])
    t.equal(waiting, 0)
    t.equal(getEventListeners(signal, 'abort').length, 0)
    clock.advance(HOUR_MS)
    t.equal(clock.running, 0)
  })

  t.test('comes to an end when the service closes before the mission has ended', async (t) => {
    const { missions, registry } = build()
    missions.start({ id: 'a', name: 'job' })
    const wait = missions.waitFor('a', { timeoutMs: HOUR_MS })
    registry.close()
    t.equal(await peek(wait), 'FST_MC_CLOSING')
    t.equal(await peek(missions.waitFor('a')), 'FST_MC_CLOSING')
    missions.get('a')!.complete()
    t.match(await peek(missions.waitFor('a')), { status: 'completed' })
  })
})

t.test('all missions that are active or kept can be copied at once, oldest first', async (t) => {
  const { missions } = build()
  for (const id of ['a', 'b']) missions.start({ id, name: 'job' })
  missions.report('a', 'completed')
  t.match(missions.views(), [{ id: 'a', status: 'completed' }, { id: 'b', status: 'planning_started' }])
})
