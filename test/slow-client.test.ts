import websocket from '@fastify/websocket'
import fc from 'fast-check'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { createVirtualClock } from '../lib/clock.js'
import { Outbox } from '../lib/hub/outbox.js'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { boot } from './support/app.js'
import { connect, type Client } from './support/client.js'
import { RawClient } from './support/raw-client.js'

/** A sink that takes bytes only when told to, and an outbox in front of it. */
function createSlowOutbox ({ maxBytes = 1_000_000, buffers = true } = {}) {
  const sent: string[] = []
  const pending: Array<() => void> = []
  const counts = { sent: 0, bytes: 0, replaced: 0, overflows: 0 }
  const sink = {
    bufferedBytes: 0,
    send (message: Buffer, done: () => void) {
      sent.push(String(message).trim())
      if (buffers) sink.bufferedBytes += message.length
      pending.push(() => {
        if (buffers) sink.bufferedBytes -= message.length
        done()
      })
    }
  }
  const outbox = new Outbox({
    sink,
    maxBytes,
    onSent: (bytes) => { counts.sent++; counts.bytes += bytes },
    onReplaced: () => { counts.replaced++ },
    onOverflow: () => { counts.overflows++ }
  })
  /** Lets the system take this many of the messages that were handed over. */
  const take = (count = Infinity) => {
    for (let taken = 0; taken < count && pending.length > 0; taken++) pending.shift()!()
  }
  return { outbox, sink, sent, counts, take }
}

const message = (text: string, bytes = 100) => Buffer.from(text.padEnd(bytes))
const PLUG = message('plug', 65_536)

t.test('a message to a client that keeps up leaves at once', async (t) => {
  const { outbox, sent, counts, take } = createSlowOutbox()
  outbox.push(message('a'))
  outbox.replace('k', message('b'))
  outbox.replace('k', message('c'))
  t.same(sent, ['a', 'b', 'c'])
  t.same(counts, { sent: 3, bytes: 300, replaced: 0, overflows: 0 })
  take()
  outbox.push(message('d'))
  t.equal(sent.at(-1), 'd')
})

t.test('while a client is slow, what must arrive goes first and in order, and of the rest only the newest of a kind is left', async (t) => {
  const { outbox, sent, counts, take } = createSlowOutbox()
  outbox.push(PLUG)
  outbox.replace('stats', message('stats 1'))
  outbox.push(message('must 1'))
  outbox.replace('progress a', message('a 1'))
  outbox.replace('progress b', message('b 1'))
  outbox.push(message('must 2'))
  outbox.replace('stats', message('stats 2'))
  outbox.replace('progress a', message('a 2'))
  outbox.replace('progress a', message('a 3'))
  t.same(sent, ['plug'], 'nothing is handed over while the client does not read')
  take(1)
  t.same(sent, ['plug', 'must 1', 'must 2', 'b 1', 'stats 2', 'a 3'])
  t.equal(counts.replaced, 3)
  t.same([counts.sent, counts.bytes], [6, 65_536 + 500], 'only what is handed over counts as sent')
})

t.test('the end of a mission makes its waiting progress pointless, and an unsubscribe that of a whole channel', async (t) => {
  const { outbox, sent, counts, take } = createSlowOutbox()
  outbox.push(PLUG)
  for (const key of ['mission_update a', 'mission_update b', 'mission_update_b', 'stats']) outbox.replace(key, message(key))
  outbox.forget('mission_update a')
  outbox.forget('mission_update a')
  outbox.forget('nobody')
  t.equal(counts.replaced, 1)
  outbox.forgetAll('mission_update ')
  t.equal(counts.replaced, 2)
  take()
  t.same(sent, ['plug', 'mission_update_b', 'stats'])
  outbox.push(message('next'))
  t.equal(sent.at(-1), 'next', 'what was forgotten holds nothing up')
})

t.test('what waits may fill its bound to the byte; one byte more closes the outbox, once', async (t) => {
  for (const add of ['push', 'replace'] as const) {
    const { outbox, sent, counts, take } = createSlowOutbox({ maxBytes: 1_000 })
    const put = (text: string, bytes: number) => add === 'push' ? outbox.push(message(text, bytes)) : outbox.replace(text, message(text, bytes))
    outbox.push(PLUG)
    put('a', 500)
    put('b', 500)
    t.equal(counts.overflows, 0)
    put('c', 1)
    t.equal(counts.overflows, 1)
    put('d', 1_001)
    outbox.push(message('e'))
    outbox.replace('k', message('f'))
    outbox.flush()
    take()
    t.same(sent, ['plug'])
    t.equal(counts.overflows, 1)
  }
})

t.test('a newer message is not counted beside the one that it replaces', async (t) => {
  const { outbox, sent, counts, take } = createSlowOutbox({ maxBytes: 1_000 })
  outbox.push(PLUG)
  for (let round = 0; round < 50; round++) outbox.replace('k', message(`k ${round}`, 600))
  t.equal(counts.overflows, 0)
  take()
  t.same(sent, ['plug', 'k 49'])
})

t.test('a burst that the system takes at once makes nobody slow', async (t) => {
  const { outbox, sent, counts } = createSlowOutbox({ maxBytes: 1_000, buffers: false })
  for (let at = 0; at < 50; at++) outbox.push(message(`m ${at}`, 65_536))
  t.equal(sent.length, 50)
  t.equal(counts.overflows, 0)
})

t.test('bytes of others in the buffer, such as answers to pings, cannot leave a message waiting for ever', async (t) => {
  const { outbox, sink, sent } = createSlowOutbox()
  sink.bufferedBytes = 10_000_000
  outbox.push(message('a'))
  t.same(sent, ['a'], 'nothing of ours is on its way, so nothing would wake it up')
})

t.test('a goodbye is preceded by all that waits, and nothing leaves after it', async (t) => {
  const { outbox, sent, take } = createSlowOutbox()
  outbox.push(PLUG)
  outbox.replace('k', message('stats'))
  outbox.push(message('must 1'))
  outbox.push(message('must 2'))
  outbox.flush()
  outbox.close()
  outbox.push(message('late'))
  take()
  t.same(sent, ['plug', 'must 1', 'must 2', 'stats'])
})

t.test('whatever happens in whatever order: all that must arrive arrives in order, or the outbox is closed; and no old state comes after a newer one', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('push' as const), bytes: fc.integer({ min: 20, max: 40_000 }) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('replace' as const), key: fc.constantFrom('a', 'b', 'c'), bytes: fc.integer({ min: 20, max: 40_000 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), key: fc.constantFrom('a', 'b', 'c') }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const), count: fc.integer({ min: 1, max: 5 }) }) }
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
    const maxBytes = 100_000
    const { outbox, sent, counts, take } = createSlowOutbox({ maxBytes })
    const due: string[] = []
    const newest = new Map<string, string>()
    for (const [at, one] of steps.entries()) {
      if (one.kind === 'take') take(one.count)
      else if (one.kind === 'forget') outbox.forget(one.key)
      else if (one.kind === 'push') {
        if (counts.overflows === 0) due.push(`must ${at}`)
        outbox.push(message(`must ${at}`, one.bytes))
      } else {
        newest.set(one.key, `${one.key} ${at}`)
        outbox.replace(one.key, message(`${one.key} ${at}`, one.bytes))
      }
    }
    take()
    const arrived = sent.filter((text) => text.startsWith('must'))
    const isPrefix = arrived.every((text, at) => text === due[at])
    const isComplete = arrived.length === due.length
    if (!isPrefix || (!isComplete && counts.overflows === 0)) return false
    // A replaceable message never arrives after a newer one of its key.
    return [...newest.keys()].every((key) => {
      const places = sent.filter((text) => text.startsWith(`${key} `)).map((text) => Number(text.split(' ')[1]))
      return places.every((place, at) => at === 0 || place > places[at - 1]!)
    })
  }), { numRuns: 300 })
})

const PLAN = { text: 'x'.repeat(30_000) }

/** More than the kernel keeps for one connection on both sides. */
const MORE_THAN_KERNEL_BYTES = 16_000_000

/** Tells of a mission with a large plan, and waits until a client that reads has it. */
async function tellOne (app: FastifyInstance, reader: Client, at: number): Promise<string> {
  const { id } = app.missions.start({ id: `mission ${at}`, name: 'job' })
  app.missions.report(id, 'planned', { planningSession: PLAN })
  await reader.next('mission_update', ({ payload }) => payload.missionId === id && payload.status === 'planned')
  return id
}

/** Tells so much that a client which does not read has a backlog in the server. */
async function tellMuch (app: FastifyInstance, reader: Client): Promise<string[]> {
  const ids: string[] = []
  while (ids.length * PLAN.text.length < MORE_THAN_KERNEL_BYTES) ids.push(await tellOne(app, reader, ids.length))
  return ids
}

async function freezeOne (app: FastifyInstance, ...channels: string[]): Promise<RawClient> {
  const client = await RawClient.connect(app)
  client.send({ type: 'subscribe', channels })
  for (let acks = 0; acks < channels.length; acks++) await client.next('subscription_ack')
  return client.freeze()
}

const closedFor = async (app: FastifyInstance, reason: string): Promise<number> => {
  const { body } = await app.missionControl.metrics.render()
  return Number(new RegExp(`^mission_control_.*closed.*reason="${reason}".* (\\d+)$`, 'm').exec(body)![1])
}

/** Ids of planned missions in the order in which they were told. */
const plannedIn = (client: { received: ReadonlyArray<{ json?: Record<string, any> | undefined }> }): string[] =>
  client.received.flatMap(({ json }) => json?.['type'] === 'mission_update' && json['payload'].status === 'planned' ? [json['payload'].missionId as string] : [])

t.test('a client that stops reading is closed, and what it got is all of the start in order; the others get everything', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock })
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const thawed = await freezeOne(app, 'mission_update')
  const cut = await freezeOne(app, 'mission_update')
  const told: string[] = []
  while (await closedFor(app, 'slow_consumer') < 2) {
    told.push(await tellOne(app, healthy, told.length))
    if (told.length > 2_000) throw new Error('60 MB wait for clients that do not read')
  }
  t.equal(app.missionControl.wsMetrics().connectionsOpen, 3, 'they still have time to go by themselves')

  thawed.thaw()
  t.same(await thawed.ended, { code: 1013, reason: 'slow_consumer' })
  clock.advance(2_000)
  await healthy.settle()
  t.equal(app.missionControl.wsMetrics().connectionsOpen, 1, 'one that does not read the goodbye either is cut off')
  cut.thaw()
  t.equal((await cut.ended).code, undefined)

  app.missions.start('last words')
  t.equal((await healthy.next('mission_update', ({ payload }) => payload.name === 'last words')).payload.status, 'planning_started')
  for (const client of [thawed, cut]) {
    const got = plannedIn(client)
    t.ok(got.length > 0 && got.length < told.length)
    t.same(got, told.slice(0, got.length), 'no hole and nothing twice')
  }
  const updates = healthy.received.filter(({ type }) => type === 'mission_update')
  t.equal(updates.length, 2 * told.length + 1)
  t.equal(app.missionControl.wsMetrics().channels.find(({ channel }) => channel === 'mission_update')!.count, 1)
})

t.test('a client that reads again in time has missed nothing that must arrive, and gets the newest of the rest', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, websocket: { maxBufferedBytes: 64_000_000 }, channels: { missionStatsMs: 1_000 } })
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const slow = await freezeOne(app, 'mission_update', 'mission_stats', 'metrics_tick')
  const told = await tellMuch(app, healthy)

  const [running, ended] = [app.missions.start({ id: 'running', name: 'job' }), app.missions.start({ id: 'ended', name: 'job' })]
  for (let index = 1; index <= 500; index++) {
    running.progress({ taskId: 'rows', index, total: 500, status: 'done' })
    ended.progress({ taskId: 'rows', index, total: 500, status: 'done' })
  }
  ended.complete()
  for (let round = 0; round < 10; round++) clock.advance(1_000)
  await healthy.settle()
  slow.thaw().send({ type: 'ping' })
  await slow.next('pong')
  slow.send({ type: 'ping' })
  await slow.next('pong')

  t.same(plannedIn(slow), told)
  const updates = (id: string) => slow.received.flatMap(({ json }) => json?.['payload']?.missionId === id ? [json['payload']] : [])
  t.same(updates('running').map(({ status, progress }) => [status, progress?.index]), [['planning_started', undefined], ['execution_progress', 500]])
  t.same(updates('ended').map(({ status }) => status), ['planning_started', 'completed'], 'the progress before the end is pointless')
  const stats = slow.received.flatMap(({ json }) => json?.['type'] === 'mission_stats' ? [json['payload']] : [])
  t.same(stats.map(({ total }) => total), [0, told.length + 2], 'the snapshot, and one for the ten rounds')
  t.equal(healthy.received.filter((message) => message.type === 'mission_update' && message.payload.missionId === 'running').length, 501, 'who keeps up sees every step')
})

t.test('nothing of a channel comes after the answer to its unsubscribe, also from what was waiting', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, websocket: { maxBufferedBytes: 64_000_000 }, channels: { missionStatsMs: 1_000 } })
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const slow = await freezeOne(app, 'mission_update', 'mission_stats')
  await tellMuch(app, healthy)
  app.missions.start({ id: 'running', name: 'job' }).progress({ taskId: 'rows', index: 1, total: 2, status: 'done' })
  clock.advance(1_000)
  const isListening = () => app.missionControl.wsMetrics().channels.some(({ channel, count }) => channel === 'mission_stats' && count > 0)
  slow.send({ type: 'unsubscribe', channels: ['mission_stats', 'mission_update'] })
  while (isListening()) await healthy.settle()
  slow.thaw().send({ type: 'ping' })
  await slow.next('pong')
  const types = slow.types
  t.same(types.slice(types.lastIndexOf('mission_update') + 1), ['subscription_ack', 'subscription_ack', 'pong'])
  t.equal(types.filter((type) => type === 'mission_stats').length, 1, 'only the snapshot')
})

type Register = (app: FastifyInstance, options: MissionControlOptions) => unknown

const ORDERS: Record<string, Register> = {
  'its own WebSocket server': (app, options) => app.register(missionControl, options),
  'the host\'s registered before': (app, options) => app.register(websocket).register(missionControl, options),
  'the host\'s registered after': (app, options) => app.register(missionControl, options).register(websocket)
}

for (const [title, register] of Object.entries(ORDERS)) {
  // The bound is far below the 30 s that the WebSocket library gives a silent peer by itself.
  t.test(`with ${title}, the service closes though clients are stuck in the middle of a backlog`, { timeout: 20_000 }, async (t) => {
    const clock = createVirtualClock()
    const app = Fastify()
    t.teardown(() => app.close())
    await register(app, { clock, websocket: { maxBufferedBytes: 64_000_000 } })
    const [reader, live] = [await connect(app), await connect(app)]
    await reader.subscribe('mission_update')
    await live.subscribe('mission_update')
    const frozen = [await freezeOne(app, 'mission_update'), await freezeOne(app, 'mission_update'), await freezeOne(app, 'mission_stats')]
    const told = await tellMuch(app, reader)
    await live.settle()

    for (let at = 0; at < 400; at++) app.missions.report(`late ${at}`, 'planned', { planningSession: PLAN })
    const closing = app.close()
    for (const client of [reader, live]) t.same(await client.closed, { code: 1001, reason: 'server_closing' })
    const late = live.received.filter((message) => message.type === 'mission_update' && message.payload.missionId.startsWith('late'))
    t.equal(late.length, 400, 'the goodbye comes after all that was told before')
    while (app.missionControl.wsMetrics().connectionsOpen > 3) await new Promise((resolve) => setImmediate(resolve))
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 3, 'only those that do not answer are left')
    clock.advance(2_000)
    await closing
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 0)
    for (const client of frozen) client.thaw()
    await Promise.all(frozen.map((client) => client.ended))
    t.same(plannedIn(frozen[0]!), told.slice(0, plannedIn(frozen[0]!).length))
  })
}
