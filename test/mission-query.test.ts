import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import t from 'tap'
import type { SubscribeFilter } from '../lib/missions/index.js'
import { TERMINAL_STATUSES, type MissionQuery, type MissionSubject, type MissionStatus, type MissionView } from '../schemas/index.js'
import { uncaught } from './support/app.js'
import { build, settle, type Stand } from './support/missions.js'

const HOUR_MS = 3_600_000

const ids = ({ missions }: { missions: readonly MissionView[] }) => missions.map(({ id }) => id)

/** Returns the current result of a promise: its value, the code of its error, or `pending`. */
async function peek (promise: Promise<unknown>): Promise<unknown> {
  let state: unknown = 'pending'
  promise.then((value) => { state = value }, (err) => { state = err.code ?? err })
  await settle()
  return state
}

/** Reads the views that are available now; a pending read is kept and returns the first view of the next `drain`. */
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

/** Counts the listeners that subscriptions have added to a registry and not removed. */
function countListeners (registry: Stand['registry']): () => number {
  let count = 0
  const counted = <Listener>(add: (listener: Listener) => () => void) => (listener: Listener) => {
    count++
    const remove = add(listener)
    return () => {
      count--
      remove()
    }
  }
  registry.updates.onChanged = counted(registry.updates.onChanged.bind(registry.updates))
  registry.onClosed = counted(registry.onClosed.bind(registry))
  return () => count
}

t.test('list', async (t) => {
  t.test('returns the missions that match every condition, newest first', async (t) => {
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
      [
        { name: 'import', tag: 'big', tenant: 'acme', stalled: true, status: 'planning_started', q: 'may', since: start, until: start + 1 },
        ['a']
      ],
      [{ name: 'import', tenant: 'acme', stalled: false }, []],
      [{ status: undefined, name: undefined } as unknown as MissionQuery, ['Row-c', 'b', 'a']]
    ]
    for (const [query, expected] of cases) t.strictSame(ids(missions.list(query)), expected, JSON.stringify(query))
  })

  t.test('returns pages of at most 200 missions, 50 by default', async (t) => {
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
    t.equal(missions.list({ limit: 200, q: 'm40' }).nextCursor, null, 'the last page has no cursor')
    t.equal(missions.list({ limit: 1, q: 'm400' }).nextCursor, null, 'a full last page has no cursor')
  })

  t.test('has cursors that do not tell how many missions others have', async (t) => {
    const { missions } = build()
    const next = (of: MissionQuery) => {
      missions.start({ name: 'job', tenant: 'acme' })
      return Number(missions.list({ limit: 1, tenant: 'acme', ...of }).nextCursor)
    }
    missions.start({ name: 'job', tenant: 'acme' })
    const cursors = Array.from({ length: 20 }, () => next({}))
    t.equal(new Set(cursors).size, 20)
    t.ok(cursors.every((cursor) => cursor > 1_000 && cursor < 2 ** 52), 'not the numbers of the missions')
    const steps = cursors.slice(1).map((cursor, at) => cursor - cursors[at]!)
    t.ok(steps.some((step) => step < 0), 'not in their order')
    t.equal(missions.list({ cursor: '9'.repeat(16) }).missions.length, 21, 'a cursor of no mission begins with the newest')
  })

  t.test('rejects an invalid query with a code', async (t) => {
    const { missions } = build()
    const queries = [
      { limit: 0 }, { limit: 201 }, { limit: 1.5 }, { cursor: '' }, { cursor: 'x' }, { cursor: '1'.repeat(17) }, { cursor: 5 },
      { since: NaN }, { since: '5' }, { tag: ['a'] }, { stalled: 'yes' }, { q: 'x'.repeat(129) }, { unknown: 1 }
    ]
    const code = 'FST_MC_INVALID_MISSION'
    for (const query of queries) t.throws(() => missions.list(query as MissionQuery), { code }, JSON.stringify(query))
    for (const query of [null, 'all', 5] as never[]) t.throws(() => missions.list(query), { code, message: /query must be an object/ })
    t.throws(() => missions.list({ status: 'done' as MissionStatus }), { code: 'FST_MC_UNKNOWN_STATUS' })
  })

  t.test('omits missions that are not visible to the viewer, and still fills its pages', async (t) => {
    const { missions, registry } = build()
    for (let i = 0; i < 10; i++) missions.start({ id: `m${i}`, name: 'job', tenant: i % 2 === 0 ? 'acme' : 'other' })
    const may = (action: string, mission?: MissionSubject) => action === 'see' && mission!.tenant === 'acme'
    for (const tenant of ['acme', undefined]) {
      const caller = { request: {}, connectionId: null, principal: undefined, id: undefined, tenant, may, mayCancelAny: () => true }
      const first = registry.queries.list({ limit: 3 }, caller)
      t.strictSame(ids(first), ['m8', 'm6', 'm4'])
      const second = registry.queries.list({ limit: 3, cursor: first.nextCursor! }, caller)
      t.strictSame(ids(second), ['m2', 'm0'])
      t.equal(second.nextCursor, null)
    }
  })

  t.test('neither repeats nor skips a mission when others start, end or are forgotten between two pages', async () => {
    type Act = { kind: 'start' | 'end' | 'wait', at: number }
    const act = fc.record({ kind: fc.constantFrom<Act['kind']>('start', 'end', 'wait'), at: fc.nat(60) })
    const rounds = fc.array(fc.array(act, { maxLength: 12 }), { maxLength: 20 })
    fc.assert(fc.property(rounds, fc.integer({ min: 1, max: 5 }), (acts, limit) => {
      const { missions, clock } = build({ maxEnded: 3, endedRetentionMs: 500 })
      for (let i = 0; i < 20; i++) missions.start({ id: `m${i}`, name: 'job' })
      const existing = ids(missions.list({ limit: 200 }))
      const listed: string[] = []
      const gone = new Set<string>()
      let cursor: string | undefined
      for (let i = 0; ; i++) {
        const page = missions.list({ limit, ...(cursor !== undefined && { cursor }) })
        listed.push(...ids(page))
        if (page.nextCursor === null) break
        cursor = page.nextCursor
        for (const { kind, at } of acts[i] ?? []) {
          if (kind === 'start') missions.start('new')
          if (kind === 'wait') clock.advance(at * 10)
          if (kind === 'end') missions.get(`m${at}`)?.complete()
        }
        for (const id of existing) if (missions.get(id) === undefined) gone.add(id)
      }
      const places = listed.map((id) => existing.indexOf(id))
      const isInOrder = places.every((place, i) => place >= 0 && (i === 0 || place > places[i - 1]!))
      return isInOrder && existing.every((id) => listed.includes(id) || gone.has(id))
    }), { numRuns: 300 })
  })
})

t.test('the result of list', async (t) => {
  t.test('is a plain object that survives JSON, spread and structuredClone', async (t) => {
    const { missions } = build()
    for (const id of ['a', 'b', 'c']) missions.start({ id, name: 'job', metadata: { rows: [1, { deep: null }] } })
    const list = missions.list({ limit: 2 })
    t.equal(Object.getPrototypeOf(list), Object.prototype)
    t.strictSame(Reflect.ownKeys(list), ['missions', 'nextCursor'])
    t.ok(Array.isArray(list.missions))
    t.type(list.nextCursor, 'string')
    for (const copy of [{ ...list }, structuredClone(list), JSON.parse(JSON.stringify(list))]) t.strictSame(copy, list)
    const { missions: last, nextCursor } = missions.list({ limit: 2, cursor: list.nextCursor! })
    t.strictSame([last.map(({ id }) => id), nextCursor], [['a'], null])
  })
})

t.test('subscribe', async (t) => {
  t.test('yields the missions that match now, then every change', async (t) => {
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

  t.test('yields a mission that no longer matches once more, then stops following it', async (t) => {
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

  t.test('yields cancel requests, stalls, annotations and waiting reasons too', async (t) => {
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

  t.test('of one id ends with the attempt that is followed', async (t) => {
    const { missions } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    const reader = new Reader(missions.subscribe({ id: 'a' }))
    await reader.drain()
    mission.complete()
    mission.retry()
    const { read, isOver } = await reader.drain()
    t.strictSame([read.map(({ status, attempt }) => `${attempt} ${status}`), isOver], [['1 completed'], true])
  })

  t.test('yields the newest view of each mission to a slow reader, and every ending', async (t) => {
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

  t.test('yields missions in the order of their last change', async (t) => {
    const { missions } = build()
    for (const id of ['a', 'b', 'c']) missions.start({ id, name: 'job' })
    const views = missions.subscribe()
    const reader = new Reader(views)
    t.equal((await views.next()).value!.id, 'a')
    missions.get('b')!.executionStarted()
    t.match((await reader.drain()).read, [{ id: 'c' }, { id: 'b', status: 'execution_started' }])
    await views.return(undefined)
  })

  t.test('to one id ends with the ending of that mission', async (t) => {
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

  t.test('to the id of an ended mission yields its ending and ends', async (t) => {
    const { missions } = build()
    missions.report('a', 'error')
    t.match(await drain(missions.subscribe({ id: 'a' })), { read: [{ id: 'a', status: 'error' }], isOver: true })
  })

  t.test('to one id ends with its ending even if the ending does not match the other conditions', async (t) => {
    const { missions } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    const views = missions.subscribe({ id: 'a', status: 'planning_started' })
    const reader = new Reader(views)
    t.equal((await reader.drain()).read.length, 1)
    mission.complete()
    t.match(await reader.drain(), { read: [], isOver: true })
    t.match(await drain(missions.subscribe({ id: 'a', status: 'planning_started' })), { read: [], isOver: true })
  })

  t.test('to an unknown id waits until a mission with this id starts', async (t) => {
    const { missions } = build()
    const views = missions.subscribe({ id: 'a' })
    const first = views.next()
    t.equal(await peek(first), 'pending')
    missions.start({ id: 'b', name: 'job' })
    missions.start({ id: 'a', name: 'job' })
    t.match((await first).value, { id: 'a', status: 'planning_started' })
    await views.return(undefined)
  })

  t.test('rejects an invalid filter synchronously with a code', async (t) => {
    const { missions } = build()
    t.throws(() => missions.subscribe({ status: 'done' as MissionStatus }), { code: 'FST_MC_UNKNOWN_STATUS' })
    const code = 'FST_MC_INVALID_MISSION'
    for (const filter of [{ tag: 5 }, { limit: 5 }, { unknown: 1 }]) t.throws(() => missions.subscribe(filter as SubscribeFilter), { code })
    for (const filter of [null, 'all', 5] as never[]) {
      t.throws(() => missions.subscribe(filter), { code, message: /filter must be an object/ })
    }
  })

  t.test('removes its listeners, however its reader leaves', async (t) => {
    type Leave = (views: AsyncGenerator<MissionView>, controller: AbortController) => Promise<unknown>
    const ways: Array<[title: string, leave: Leave]> = [
      ['break', async (views) => { for await (const view of views) if (view.id === 'a') break }],
      ['throw in the loop', async (views) => {
        await t.rejects(async () => { for await (const { id } of views) if (id === 'a') throw new Error(id) }, { message: 'a' })
      }],
      ['return while no read is pending', async (views) => { await views.next(); await views.return(undefined) }],
      ['return before the first read', async (views) => { await views.return(undefined) }],
      ['return while a read is pending', async (views) => {
        await views.next()
        const waiting = views.next()
        t.equal(await peek(waiting), 'pending')
        t.strictSame(await peek(views.return(undefined)), { done: true, value: undefined })
        t.strictSame(await peek(waiting), { done: true, value: undefined })
      }],
      ['throw while no read is pending', async (views) => { await views.next(); await views.throw(new Error('x')).catch(() => {}) }],
      ['abort while a read is pending', async (views, controller) => {
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
    for (const [title, leave] of ways) {
      t.test(title, async (t) => {
        const { missions, registry } = build()
        const listeners = countListeners(registry)
        missions.start({ id: 'a', name: 'job' })
        const controller = new AbortController()
        const views = missions.subscribe({}, { signal: controller.signal })
        t.strictSame(await uncaught(async () => { await leave(views, controller) }), [])
        t.equal(listeners(), 0)
        t.equal(getEventListeners(controller.signal, 'abort').length, 0)
        t.strictSame(await views.next(), { done: true, value: undefined })
      })
    }
  })

  t.test('yields nothing after its signal has aborted, not even unread views', async (t) => {
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

  t.test('yields all endings of a shutdown, then ends', async (t) => {
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
    const later = await drain(missions.subscribe())
    t.match(later, { read: [{ id: 'a' }, { id: 'b' }], isOver: true }, 'a later subscription yields the missions that are still kept')
  })
})

t.test('waitFor', async (t) => {
  t.test('resolves with the outcome of a mission that ends or has ended', async (t) => {
    const { missions } = build()
    const mission = missions.start({ id: 'a', name: 'job' })
    const waits = Array.from({ length: 3 }, () => missions.waitFor('a'))
    t.equal(await peek(waits[0]!), 'pending')
    mission.fail({ code: 'BOOM', message: 'it broke' })
    for (const wait of [...waits, missions.waitFor('a'), missions.waitFor('a', { timeoutMs: 1 })]) {
      t.match(await wait, { id: 'a', status: 'error', error: { code: 'BOOM' } })
    }
  })

  t.test('rejects for an unknown or forgotten mission', async (t) => {
    const { missions, clock } = build()
    missions.report('a', 'completed')
    t.equal(await peek(missions.waitFor('unknown')), 'FST_MC_MISSION_NOT_FOUND')
    t.equal(await peek(missions.waitFor(undefined as never)), 'FST_MC_MISSION_NOT_FOUND')
    clock.advance(HOUR_MS)
    t.equal(await peek(missions.waitFor('a')), 'FST_MC_MISSION_NOT_FOUND')
  })

  t.test('resolves with the outcome even if no ended mission is kept', async (t) => {
    const { missions } = build({ maxEnded: 0 })
    const mission = missions.start({ id: 'a', name: 'job' })
    const wait = missions.waitFor('a')
    mission.complete()
    t.match(await wait, { status: 'completed' })
  })

  t.test('rejects after timeoutMs without ending the mission', async (t) => {
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

  t.test('rejects a time that Node timers cannot represent', async (t) => {
    const { missions } = build()
    missions.start({ id: 'a', name: 'job' })
    for (const timeoutMs of [-1, 1.5, NaN, Infinity, 2 ** 31]) {
      t.equal(await peek(missions.waitFor('a', { timeoutMs })), 'FST_MC_INVALID_MISSION')
    }
  })

  t.test('rejects with the reason of its signal, aborted before or during the wait', async (t) => {
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

  t.test('removes its listeners and timers, however it settles', async (t) => {
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
        missions.waitFor('a', { timeoutMs: 5 }),
        missions.waitFor('a', { signal: aborted.signal, timeoutMs: 100 * HOUR_MS }),
        missions.waitFor('a', { signal, timeoutMs: 100 * HOUR_MS })
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

  t.test('rejects when the service closes before the mission has ended', async (t) => {
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

t.test('views returns copies of all active and kept missions, oldest first', async (t) => {
  const { missions } = build()
  for (const id of ['a', 'b']) missions.start({ id, name: 'job' })
  missions.report('a', 'completed')
  t.match(missions.views(), [{ id: 'a', status: 'completed' }, { id: 'b', status: 'planning_started' }])
})
