import websocket from '@fastify/websocket'
import fc from 'fast-check'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import type { ChannelName } from '../schemas/channels/index.js'
import type { Clock } from '../lib/base/clock.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import type { Writable } from '../lib/hub/delivery/batch.js'
import { HubMetrics } from '../lib/hub/metrics.js'
import { Envelope } from '../lib/hub/wire/envelope.js'
import { MessageLog } from '../lib/hub/history/message-log.js'
import { Message, type LoggedMessage, type MessageTraits } from '../lib/hub/wire/message.js'
import { HIGH_WATER_BYTES, Outbox } from '../lib/hub/delivery/outbox.js'
import { SnapshotCache } from '../lib/hub/history/snapshot-cache.js'
import { FlushScheduler } from '../lib/hub/delivery/flush-scheduler.js'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { boot, closingSoon } from './support/app.js'
import { connect, type Client } from './support/client.js'
import { RawClient } from './support/raw-client.js'

const shared = (clock: Clock, { maxMessages = 10_000 } = {}) => {
  const metrics = new HubMetrics({ refused: [], closed: [], protocolErrors: [] })
  const scheduler = new FlushScheduler((ms) => metrics.fanOut.record(ms))
  const log = new MessageLog(clock, { maxMessages, maxBytes: 16_777_216, maxAgeMs: 900_000 })
  return { clock, metrics, scheduler, log }
}

/** A hub in small: outboxes over sinks that take bytes only when told to, one log, and missions whose state is their last step. */
function createStand ({ maxBytes = 1_000_000, buffers = true, maxMessages = 10_000 } = {}) {
  const clock = createVirtualClock()
  const parts = shared(clock, { maxMessages })
  const { log, scheduler, metrics } = parts
  const states = new Map<string, number>()
  let steps = 0
  const snapshots = new SnapshotCache({
    clock,
    envelope: new Envelope(clock, { name: 'x', version: '1' }),
    log,
    channel: () => ({ name: 'mission_update', delivery: () => ({}), start () {}, stop () {}, snapshot: () => [...states].map(([id, seq]) => ({ missionId: id, seq, snapshot: true }) as never) }),
    onGap: (cause) => metrics.gaps.add(cause)
  })
  const sent: any[] = []
  const pending: number[] = []
  const writer = {
    bufferedBytes: 0,
    encodings: 'plain' as const,
    write: (batch: Writable) => writer.bufferedBytes >= HIGH_WATER_BYTES ? -1 : writer.writeAll(batch.messages()),
    writeAll (messages: readonly Message[]) {
      let bytes = 0
      for (const message of messages) {
        sent.push(JSON.parse(message.text.toString()))
        bytes += message.bytes
      }
      if (buffers) {
        writer.bufferedBytes += bytes
        pending.push(bytes)
      }
      return bytes
    }
  }
  let overflows = 0
  const subscriptions = new Map([['mission_update' as ChannelName, { sequence: 1, offset: 1 }]])
  const outbox: Outbox = new Outbox({
    writer,
    subscriptions,
    maxBytes,
    shared: { ...parts, snapshots, fits: () => true, onBackpressure: () => {} },
    onOverflow () {
      overflows++
      outbox.close()
    }
  })
  const pad = (bytes: number) => 'x'.repeat(bytes)
  const reply = (name: string, bytes = 100) => outbox.send(new Message(JSON.stringify({ reply: name, pad: pad(bytes) })))
  /** A step of a mission that must arrive. */
  const step = (id: string, bytes = 100) => {
    const seq = ++steps
    const position = log.nextPosition('mission_update')
    const message = new Message(JSON.stringify({ id, seq, offset: position.offset, pad: pad(bytes) }), { channel: 'mission_update', position, supersedes: id })
    states.set(id, seq)
    log.append(message as LoggedMessage)
    outbox.send(message)
    scheduler.countSent(message)
  }
  /** Progress of a mission, which newer progress may replace. */
  const progress = (id: string, bytes = 100) => {
    const seq = ++steps
    states.set(id, seq)
    outbox.send(new Message(JSON.stringify({ id, seq, pad: pad(bytes) }), { channel: 'mission_update', key: id }))
  }
  /** Lets the system take this many of the writes that were handed over. */
  const take = (writes = Infinity) => {
    scheduler.flush()
    for (let taken = 0; taken < writes && pending.length > 0; taken++) {
      writer.bufferedBytes -= pending.shift()!
      outbox.drained()
      scheduler.flush()
    }
  }
  /** Hands over so much that whatever follows waits. */
  const plug = () => {
    reply('plug', 70_000)
    scheduler.flush()
  }
  return { clock, metrics, log, scheduler, snapshots, outbox, writer, sent, states, subscriptions, reply, step, progress, take, plug, overflows: () => overflows }
}

/** What was sent, in a word each. */
const words = (sent: any[]): string[] => sent.map(({ reply, type, id, seq, payload, conflated }) =>
  reply ?? (type === 'subscription_gap' ? `gap ${payload.cause}` : payload !== undefined ? `state ${payload.missionId} ${payload.seq}` : `${id} ${seq}${conflated === undefined ? '' : ` for ${conflated}`}`))

t.test('what is sent to a client that keeps up leaves at the end of the turn, all of it and in its order', async (t) => {
  const { sent, scheduler, metrics, reply, step, progress, take } = createStand()
  reply('ack')
  progress('a')
  progress('a')
  step('a')
  reply('pong')
  t.same(sent, [])
  scheduler.flush()
  t.same(words(sent), ['ack', 'a 1', 'a 2', 'a 3', 'pong'])
  t.equal(metrics.messagesSentTotal, 5)
  t.equal(metrics.replacedTotal, 0)
  take()
  step('b')
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(words(sent).at(-1), 'b 4')
})

t.test('while a client is slow, replies go first, then what must arrive in order, and of the rest only the newest of a kind, which says for how many it stands', async (t) => {
  const { sent, metrics, outbox, plug, reply, step, progress, take } = createStand()
  plug()
  progress('a')
  step('b')
  progress('c')
  progress('a')
  step('b')
  progress('a')
  reply('pong')
  take(0)
  t.same(words(sent), ['plug'], 'nothing is handed over while the client does not read')
  t.ok(outbox.hasBackpressure && outbox.pendingBytes > 0)
  take(1)
  t.same(words(sent), ['plug', 'pong', 'b 2', 'b 5', 'a 6 for 2', 'c 3'])
  t.equal(metrics.replacedTotal, 2)
  take()
  t.notOk(outbox.hasBackpressure)
  t.equal(outbox.pendingBytes, 0)
})

t.test('the end of a mission makes its waiting progress pointless, and an unsubscribe all that waits of a channel', async (t) => {
  const { sent, metrics, outbox, plug, reply, step, progress, take } = createStand()
  plug()
  progress('a')
  progress('b')
  step('a')
  take(0)
  t.equal(metrics.replacedTotal, 1)
  reply('ack')
  outbox.dropChannel('mission_update')
  t.equal(metrics.replacedTotal, 2)
  take()
  t.same(words(sent), ['plug', 'ack'])
})

for (const [title, isHeld] of [['in the turn in which the client falls behind', false], ['later', true]] as const) {
  t.test(`an unsubscribe ${title} drops all of its channel and nothing of the others`, async (t) => {
    const { sent, log, outbox, subscriptions, plug, step, progress, take } = createStand()
    for (const channel of ['health_delta', 'metrics_tick', 'anomaly_alert'] as const) subscriptions.set(channel, { sequence: 1, offset: 1 })
    const message = (name: string, traits: MessageTraits) => new Message(JSON.stringify({ reply: name }), traits)
    plug()
    step('a')
    if (isHeld) progress('b')
    const position = log.nextPosition('health_delta')
    const logged = message('must arrive', { channel: 'health_delta', position })
    log.append(logged as LoggedMessage)
    outbox.send(logged)
    outbox.send(message('replaceable', { channel: 'metrics_tick', key: 'tick' }))
    outbox.send(message('snapshot', { channel: 'anomaly_alert' }))
    if (isHeld) take(0)
    subscriptions.delete('mission_update')
    outbox.dropChannel('mission_update')
    subscriptions.set('mission_update', { sequence: log.nextSequence, offset: log.head('mission_update') + 1 })
    step('c')
    take()
    t.match(words(sent), ['plug', 'snapshot', 'must arrive', /^c \d$/, 'replaceable'])
    t.equal(sent.length, 5)
  })
}

t.test('a channel that was subscribed to while the client fell behind is told with the first message that is missing of it', async (t) => {
  const { sent, log, outbox, subscriptions, plug, step, take } = createStand({ maxMessages: 100 })
  plug()
  for (let at = 0; at < 1_100; at++) step('a')
  take(0)
  t.ok(outbox.isLagging)
  for (const channel of ['health_delta', 'anomaly_alert'] as const) subscriptions.set(channel, { sequence: log.nextSequence, offset: log.head(channel) + 1 })
  for (let at = 0; at < 150; at++) {
    const position = log.nextPosition('health_delta')
    log.append(new Message(JSON.stringify({ reply: `health ${position.offset}` }), { channel: 'health_delta', position }) as LoggedMessage)
  }
  take()
  const gaps = sent.flatMap(({ type, payload }) => type === 'subscription_gap' ? payload : [])
  t.match(gaps, [{ channel: 'mission_update', range: { from: 1, to: 1_100 } }, { channel: 'health_delta', range: { from: 1, to: 150 } }])
})

t.test('replies may wait up to their bound; one byte more closes the outbox, once', async (t) => {
  const { sent, outbox, metrics, plug, reply, take, overflows } = createStand({ maxBytes: 1_000 })
  plug()
  reply('a', 400)
  reply('b', 400)
  take(0)
  t.equal(overflows(), 0)
  reply('c', 400)
  t.equal(overflows(), 1)
  t.ok(metrics.droppedTotal >= 3)
  reply('d')
  outbox.flushAll()
  outbox.checkProgress(1)
  take()
  t.same(words(sent), ['plug'])
  t.equal(overflows(), 1)
})

t.test('a burst that the system takes at once makes nobody slow, and leaves before the turn ends once it is large', async (t) => {
  const { sent, step, scheduler, overflows } = createStand({ maxBytes: 1_000, buffers: false })
  for (let at = 0; at < 50; at++) step('a', 65_536)
  t.ok(sent.length > 40)
  scheduler.flush()
  t.equal(sent.length, 50)
  t.equal(overflows(), 0)
})

for (const [title, make] of Object.entries({
  'by number': (stand: ReturnType<typeof createStand>) => { for (let at = 0; at < 1_100; at++) stand.step(`m${at % 10}`, 10) },
  'by size': (stand: ReturnType<typeof createStand>) => { for (let at = 0; at < 30; at++) stand.step(`m${at % 10}`, 10_000) }
})) {
  t.test(`a client that falls far behind, ${title}, keeps no messages of its own and is given what it missed from the log`, async (t) => {
    const stand = createStand()
    const { sent, metrics, outbox, plug, progress, take, log } = stand
    plug()
    make(stand)
    take(0)
    t.ok(outbox.isLagging)
    t.ok(outbox.pendingBytes < 262_144)
    progress('m1')
    stand.step('last')
    take()
    t.notOk(outbox.isLagging)
    t.same(sent.flatMap(({ offset }) => offset ?? []), Array.from({ length: log.head('mission_update') }, (_, at) => at + 1), 'all, once, in order')
    t.equal(sent.at(-1).id, 'm1', 'and then the newest of what may be replaced')
    t.equal(metrics.laggedTotal, 1)
  })
}

t.test('where the log no longer reaches back the client is told which messages are missing, and gets the present state and what follows it', async (t) => {
  const { sent, metrics, plug, step, progress, take, log } = createStand({ maxMessages: 100 })
  step('a')
  take()
  plug()
  for (let at = 0; at < 1_200; at++) step(`m${at % 3}`)
  progress('m1')
  take(1)
  step('b')
  take()
  const gap = sent.find(({ type }) => type === 'subscription_gap')
  t.match(gap.payload, { channel: 'mission_update', cause: 'trimmed', range: { epoch: log.epoch, from: 2, to: 1_201 }, asOf: { offset: 1_201 }, messages: 4 })
  const after = words(sent.slice(sent.indexOf(gap)))
  t.same(after, ['gap trimmed', 'state a 1', 'state m0 1199', 'state m1 1202', 'state m2 1201', 'b 1203'], 'progress that the state already has does not follow it')
  t.match(metrics.gaps.read(), { trimmed: 1, overflow: 0 })
})

t.test('states that replace each other are bounded too: beyond it the client gets what must arrive, and then the present state', async (t) => {
  const { sent, plug, step, progress, take, overflows } = createStand({ maxBytes: 5_000 })
  plug()
  step('a')
  for (let at = 0; at < 60; at++) progress(`m${at}`)
  take()
  t.equal(overflows(), 0)
  const heard = words(sent)
  t.same(heard.slice(0, 4), ['plug', 'a 1', 'gap overflow', 'state a 1'])
  t.equal(new Set(sent.flatMap(({ id, payload }) => payload === undefined ? id ?? [] : payload.missionId ?? [])).size, 61)
})

t.test('a client that falls behind on states alone gets the present state, and what must arrive afterwards', async (t) => {
  const { sent, plug, step, progress, take } = createStand({ maxBytes: 5_000 })
  plug()
  for (let at = 0; at < 60; at++) progress(`m${at}`)
  take(0)
  step('a')
  take()
  t.same(words(sent).slice(0, 3), ['plug', 'a 61', 'gap overflow'])
  t.equal(words(sent).filter((word) => word === 'a 61').length, 1)
})

t.test('a client that lags already may also lose states', async (t) => {
  const { sent, metrics, outbox, plug, step, progress, take } = createStand({ maxBytes: 5_000 })
  plug()
  for (let at = 0; at < 1_100; at++) step('a')
  take(0)
  t.ok(outbox.isLagging)
  for (let at = 0; at < 60; at++) progress(`m${at}`)
  take()
  t.equal(metrics.laggedTotal, 1)
  t.equal(words(sent).filter((word) => /^a \d/.test(word)).length, 1_100)
  t.equal(words(sent).filter((word) => word === 'gap overflow').length, 1)
})

t.test('a snapshot serves for five seconds, and is let go of afterwards', async (t) => {
  const { clock, snapshots, states } = createStand()
  const take = (notBefore = 0) => snapshots.snapshot('mission_update', { filter: undefined, after: undefined, notBefore }).messages[0]
  for (let at = 0; at < 99; at++) states.set(`m${at}`, 1)
  t.not(take(), take(), 'a small one is made anew')
  states.set('m99', 1)
  const first = take()
  clock.advance(4_000)
  snapshots.trim()
  t.equal(take(), first)
  t.not(take(1), first, 'unless it is older than what is missing')
  clock.advance(5_000)
  snapshots.trim()
  t.not(take(), first)
})

t.test('a client that takes nothing for 30 s is given up; one that takes a little is not', async (t) => {
  for (const isTaking of [false, true]) {
    const { clock, outbox, writer, metrics, plug, step, take, overflows } = createStand()
    plug()
    for (let at = 0; at < 1_100; at++) step('a')
    take(0)
    for (let second = 0; second <= 30; second++) {
      outbox.checkProgress(clock.monotonic() + 1)
      if (isTaking && second === 20) writer.bufferedBytes--
      clock.advance(1_000)
    }
    outbox.checkProgress(clock.monotonic() + 1)
    t.equal(overflows(), isTaking ? 0 : 1)
    t.ok(metrics.laggingMs >= 30_000)
  }
})

t.test('a goodbye is preceded by all that waits, also from the log, and nothing leaves after it', async (t) => {
  const { sent, outbox, plug, reply, step, take, log } = createStand()
  plug()
  for (let at = 0; at < 1_100; at++) step('a')
  take(0)
  reply('draining')
  outbox.flushAll()
  outbox.close()
  step('late')
  take()
  t.equal(sent.length, 1_102)
  t.equal(log.head('mission_update'), 1_101)
})

t.test('whatever happens in whatever order: what must arrive does so once and in order or the gap is told, no state is followed by an older one, and in the end the client knows what the server knows', async () => {
  const id = fc.constantFrom('a', 'b', 'c', 'd')
  const bytes = fc.integer({ min: 20, max: 40_000 })
  const move = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('step' as const), id, bytes, times: fc.constantFrom(1, 1, 1, 40) }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('progress' as const), id, bytes, times: fc.constantFrom(1, 5) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reply' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('resubscribe' as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const), count: fc.integer({ min: 1, max: 5 }) }) }
  )
  fc.assert(fc.property(fc.array(move, { maxLength: 100 }), fc.constantFrom(5, 50, 10_000), (moves, maxMessages) => {
    const stand = createStand({ maxBytes: 100_000, maxMessages })
    for (const one of moves) {
      if (one.kind === 'step') for (let at = 0; at < one.times; at++) stand.step(one.id, one.bytes)
      else if (one.kind === 'progress') for (let at = 0; at < one.times; at++) stand.progress(one.id, one.bytes)
      else if (one.kind === 'reply') stand.reply('pong', 10)
      else if (one.kind === 'take') stand.take(one.count)
      else if (one.kind === 'turn') stand.scheduler.flush()
      else {
        stand.scheduler.flush()
        stand.outbox.dropChannel('mission_update')
        stand.subscriptions.set('mission_update', { sequence: stand.log.nextSequence, offset: stand.log.head('mission_update') + 1 })
        stand.outbox.send(new Message(JSON.stringify({ joined: stand.log.head('mission_update') + 1, states: [...stand.states] })))
      }
    }
    stand.take()
    return judgeStream(stand.sent, stand.states) === undefined
  }), { numRuns: 500 })
})

/** What is wrong with what a client got, or `undefined`; the model knows only the wire. */
function judgeStream (sent: any[], states: ReadonlyMap<string, number>): string | undefined {
  let next = 1
  const held = new Map<string, number>()
  for (const { joined, states: snapshot, offset, id, seq, type, payload } of sent) {
    if (joined !== undefined) {
      next = joined
      held.clear()
      for (const [known, at] of snapshot) held.set(known, at)
    } else if (type === 'subscription_gap' && payload.range !== undefined) {
      if (payload.range.from !== next) return `gap from ${payload.range.from} instead of ${next}`
      next = payload.range.to + 1
    } else if (offset !== undefined) {
      if (offset !== next) return `offset ${offset} instead of ${next}`
      next = offset + 1
    }
    const [key, at] = payload === undefined ? [id, seq] : [payload.missionId, payload.seq]
    if (key === undefined) continue
    if ((held.get(key) ?? 0) > at) return `${key} ${at} after ${held.get(key)}`
    held.set(key, at)
  }
  for (const [key, at] of states) if (held.get(key) !== at) return `${key} is ${at}, not ${held.get(key)}`
  return undefined
}

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

/** Waits until a message that fits has come. */
async function arrived (client: RawClient, fits: (message: Record<string, any>) => boolean): Promise<void> {
  while (!client.received.some(({ json }) => json !== undefined && fits(json))) await new Promise((resolve) => setImmediate(resolve))
}

/** Ids of planned missions in the order in which they were told. */
const plannedIn = (client: { received: ReadonlyArray<{ json?: Record<string, any> | undefined }> }): string[] =>
  client.received.flatMap(({ json }) => json?.['type'] === 'mission_update' && json['payload'].status === 'planned' ? [json['payload'].missionId as string] : [])

t.test('a client that stops reading for half a minute is closed, and what it got is all of the start in order; the others get everything', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, websocket: { pingMs: 1_000_000_000 } })
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const thawed = await freezeOne(app, 'mission_update')
  const cut = await freezeOne(app, 'mission_update')
  const told = await tellMuch(app, healthy)
  for (let second = 0; second < 29; second++) clock.advance(1_000)
  t.equal(await closedFor(app, 'slow_consumer'), 0)
  for (let second = 0; second < 3; second++) clock.advance(1_000)
  t.equal(await closedFor(app, 'slow_consumer'), 2)
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

t.test('a client that reads again after the log has moved on is told of the gap, and knows the present state of every mission', async (t) => {
  const app = await boot(t, { websocket: { logMaxMessages: 50 } })
  const healthy = await connect(app)
  await healthy.subscribe('mission_update')
  const slow = await freezeOne(app, 'mission_update')
  const told = await tellMuch(app, healthy)
  const ended = app.missions.start({ id: 'ended', name: 'job', objective: 'none', metadata: { a: 1 } })
  ended.child('part').waiting('for rain')
  app.missions.get(told[0]!)!.progress({ taskId: 'a', index: 1, total: 2, status: 'done' })
  app.missions.get(told[1]!)!.cancel()
  ended.fail(new Error('broken'))
  slow.thaw()
  const after = await slow.next('subscription_gap') as any
  t.match(after.payload, { channel: 'mission_update', cause: 'trimmed' })
  await arrived(slow, ({ payload }) => payload?.missionId === 'ended' && payload.status === 'error')
  const states = new Map<string, any>()
  for (const { json } of slow.received) if (json?.['type'] === 'mission_update') states.set(json['payload'].missionId, json['payload'])
  for (const view of app.missions.list({ limit: 200 })) {
    const state = states.get(view.id)
    t.same([state.status, state.seq, state.progress ?? null, state.error ?? null, state.waiting ?? null, state.parentId ?? null], [view.status, view.seq, view.progress, view.error, view.waiting, view.parentId])
  }
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
  slow.thaw()
  await arrived(slow, ({ type, payload }) => type === 'mission_stats' && payload.total === told.length + 2)

  t.same(plannedIn(slow), told)
  const updates = (id: string) => slow.received.flatMap(({ json }) => json?.['payload']?.missionId === id ? [json['payload']] : [])
  t.same(updates('running').map(({ status, progress }) => [status, progress?.index]), [['planning_started', undefined], ['execution_progress', 1], ['execution_progress', 500]], 'the change of the status must arrive')
  t.same(updates('ended').map(({ status }) => status), ['planning_started', 'execution_progress', 'completed'], 'further progress before the end is pointless')
  const stats = slow.received.flatMap(({ json }) => json?.['type'] === 'mission_stats' ? [json['payload']] : [])
  t.same(stats.map(({ total }) => total), [0, told.length + 2], 'the snapshot, and one for the ten rounds')
  t.equal(healthy.received.filter((message) => message.type === 'mission_update' && message.payload.missionId === 'running').length, 3, 'who keeps up sees the start, the first progress and the last')
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
  'its own WebSocket server': (app, options) => app.register(missionControl, closingSoon(app, options)),
  'the host\'s registered before': (app, options) => app.register(websocket).register(missionControl, closingSoon(app, options)),
  'the host\'s registered after': (app, options) => app.register(missionControl, closingSoon(app, options)).register(websocket)
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
    for (const client of [reader, live]) t.same(await client.closed, { code: 1012, reason: 'server_restart' })
    const late = live.received.filter((message) => message.type === 'mission_update' && message.payload.missionId.startsWith('late') && message.payload.status === 'planned' && message.payload.cancel === undefined)
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

t.test('a client that is brought up to date', async (t) => {
  const many = Array.from({ length: 600 }, (_, at) => new Message(JSON.stringify({ reply: `state ${at}` }), { channel: 'mission_update' }))
  const catchUp = (stand: ReturnType<typeof createStand>) => ({ start: { sequence: stand.log.nextSequence, offset: 1 }, firstMissingOffset: 1, messages: many })

  t.test('gets all of it at the pace of its socket, whether or not something waits already', async (t) => {
    for (const isHeld of [false, true]) {
      const stand = createStand()
      if (isHeld) stand.plug()
      stand.outbox.catchUp('mission_update', catchUp(stand))
      t.ok(stand.outbox.hasBackpressure)
      stand.step('a')
      stand.take()
      t.same(words(stand.sent).filter((word) => word !== 'plug'), [...many.map((_, at) => `state ${at}`), 'a 1'])
      t.notOk(stand.outbox.hasBackpressure)
    }
  })

  t.test('gets nothing when its connection is over', async (t) => {
    const stand = createStand()
    stand.outbox.close()
    stand.outbox.catchUp('mission_update', catchUp(stand))
    stand.take()
    t.same([stand.sent, stand.outbox.hasBackpressure, stand.overflows()], [[], false, 0])
  })
})

t.test('what was collected for a channel leaves before the channel is left, so that it cannot mix with a new subscription', async (t) => {
  const { sent, step, reply, outbox } = createStand()
  step('a')
  reply('pong')
  outbox.dropChannel('health_delta')
  t.same(sent, [], 'of another channel nothing is in the way')
  outbox.dropChannel('mission_update')
  t.same(words(sent), ['a 1', 'pong'])
})
