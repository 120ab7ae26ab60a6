import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { MessageEnvelope } from '../lib/hub/wire/envelope.js'
import { MessageLog } from '../lib/hub/history/message-log.js'
import type { Channel } from '../lib/hub/channel.js'
import { SnapshotCache } from '../lib/hub/history/snapshot-cache.js'
import type { MissionControlOptions } from '../lib/index.js'
import { missionChecksum } from '../schemas/checksum.js'
import type { AccessQuestion, Cursor, SubscriptionFilter } from '../schemas/index.js'
import { boot } from './support/app.js'
import { connect, type Client } from './support/client.js'
import { frame, OPCODE, RawClient } from './support/raw-client.js'

type App = Awaited<ReturnType<typeof boot>>

interface SubscribeOptions { since?: Cursor | undefined, filter?: SubscriptionFilter, endings?: number, snapshot?: boolean }

/** Subscribes to mission_update; returns the ack and the messages that it announces. */
async function subscribe (client: Client, { since, ...rest }: SubscribeOptions = {}) {
  client.send({ type: 'subscribe', channels: ['mission_update'], ...(since && { since: { mission_update: since } }), ...rest })
  const { payload: ack } = await client.next('subscription_ack')
  const messages = []
  for (let at = 0; at < ack.messages!; at++) messages.push(await client.next('mission_update'))
  return { ack, messages, payloads: messages.map(({ payload }) => payload), cursor: cursorOf(ack.asOf!) }
}

const cursorOf = ({ epoch, offset, id }: Cursor): Cursor => ({ epoch, offset, id })

/** Connects, subscribes, reads everything and disconnects; returns the cursor. */
async function visit (app: App): Promise<Cursor> {
  const client = await connect(app)
  const { cursor } = await subscribe(client)
  await client.close()
  while (app.missionControl.wsMetrics().connectionsOpen > 0) await new Promise((resolve) => setImmediate(resolve))
  return cursor
}

async function bootWithClock (t: Test, options: MissionControlOptions = {}) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  return { clock, app: await boot(t, { clock, ...options }) }
}

t.test('a new subscriber receives the state of every active mission, the endings that it asks for, and the position they belong to', async (t) => {
  const { app } = await bootWithClock(t)
  app.missions.start({ id: 'a', name: 'job', tags: ['night'] }).executionStarted()
  app.missions.start({ id: 'b', name: 'job' }).complete()
  const client = await connect(app)
  const { ack, payloads } = await subscribe(client, { endings: 1 })
  t.match(ack, { status: 'subscribed', outcome: 'fresh', asOf: { offset: 0, id: '', checksum: missionChecksum([{ missionId: 'a', status: 'execution_started' }]) } })
  t.match(payloads, [
    { missionId: 'a', status: 'execution_started', tags: ['night'], seq: 0, snapshot: true },
    { missionId: 'b', status: 'completed', durationMs: 0, snapshot: true }
  ])
  app.missions.report('a', 'completed')
  const live = await client.next('mission_update')
  t.match(live, { position: { epoch: ack.asOf!.epoch, offset: 1 }, payload: { previousStatus: 'execution_started', status: 'completed' } })
  t.equal((await subscribe(await connect(app))).ack.asOf!.id, live.id)
})

t.test('a new subscriber receives as many of the newest endings as it asks for', async (t) => {
  const { app } = await bootWithClock(t)
  for (let at = 0; at < 130; at++) app.missions.start({ id: `m${at}`, name: 'job' }).complete()
  const idsWith = async (options: SubscribeOptions) => (await subscribe(await connect(app), options)).payloads.map(({ missionId }) => missionId)
  t.same(await idsWith({}), [])
  t.same(await idsWith({ endings: 0 }), [])
  t.same(await idsWith({ endings: 3 }), ['m127', 'm128', 'm129'])
  t.equal((await idsWith({ endings: 1_000 })).length, 130)
  t.same(await idsWith({ endings: 3, filter: { missionIds: ['m128', 'm5'] } }), ['m128'], 'the filter applies to the newest ones')
})

t.test('a client that reconnects with a cursor receives what it missed, once and in order', async (t) => {
  const { app } = await bootWithClock(t)
  const a = app.missions.start({ id: 'a', name: 'job' })
  const cursor = await visit(app)
  a.executionStarted()
  a.progress({ taskId: 'x', index: 1, total: 9, status: 'started' })
  for (let index = 2; index < 6; index++) {
    a.progress({ taskId: 'x', index, total: 9, status: 'started' })
    await new Promise((resolve) => setImmediate(resolve))
  }
  app.missions.start({ id: 'b', name: 'job' }).fail('broken')
  const client = await connect(app)
  const { ack, messages } = await subscribe(client, { since: cursor })
  t.match(ack, { outcome: 'resumed', gap: undefined, asOf: { offset: cursor.offset + 4, checksum: missionChecksum([{ missionId: 'a', status: 'execution_progress' }]) } })
  t.same(messages.map(({ position, payload }) => [position!.offset - cursor.offset, payload.missionId, payload.status]), [
    [1, 'a', 'execution_started'], [2, 'a', 'execution_progress'], [3, 'b', 'planning_started'], [4, 'b', 'error']
  ])
  a.complete()
  const rest = (await client.settle()).map((message) => message.type === 'mission_update' ? [message.payload.status, message.position?.offset] : [])
  t.same(rest.at(-1), ['completed', ack.asOf!.offset + 1])
  for (let times = 0; times < 3; times++) {
    t.equal((await subscribe(await connect(app), { since: cursor })).messages.length, 5, 'as often as it asks')
  }
})

t.test('a client that resumes also receives the newest progress of each active mission', async (t) => {
  const { app, clock } = await bootWithClock(t)
  const a = app.missions.start({ id: 'a', name: 'job' })
  const b = app.missions.start({ id: 'b', name: 'job' })
  const cursor = await visit(app)
  for (const mission of [a, b]) {
    for (let index = 1; index < 4; index++) {
      mission.progress({ taskId: 'x', index, total: 9, status: 'started' })
      clock.advance(1_000)
    }
  }
  b.complete()
  const client = await connect(app)
  const { messages } = await subscribe(client, { since: cursor })
  t.same(messages.map(({ payload }) => `${payload.missionId} ${payload.status}`), ['a execution_progress', 'b execution_progress', 'b completed'])
  const latest = (await client.settle()).flatMap((message) => message.type === 'mission_update' ? [message] : [])
  t.match(latest, [{ payload: { missionId: 'a', progress: { index: 3 } }, position: undefined }])
  const filtered = await connect(app)
  await subscribe(filtered, { since: cursor, filter: { names: ['other'] } })
  t.same(await filtered.settle(), [])
})

t.test('a client that kept only its cursor can ask for a snapshot too', async (t) => {
  const { app } = await bootWithClock(t)
  app.missions.start({ id: 'a', name: 'job' })
  app.missions.start({ id: 'b', name: 'job' })
  const cursor = await visit(app)
  app.missions.report('b', 'completed')
  const { ack, messages } = await subscribe(await connect(app), { since: cursor, snapshot: true })
  t.equal(ack.outcome, 'resumed')
  t.same(messages.map(({ payload }) => [payload.missionId, payload.status, payload.snapshot]), [['a', 'planning_started', true], ['b', 'completed', undefined]])
})

t.test('a cursor that is not valid gets a snapshot and the cause of the gap instead of a replay', async (t) => {
  const { app } = await bootWithClock(t, { websocket: { history: { maxMessages: 5 } } })
  const listener = await connect(app)
  const { cursor: start } = await subscribe(listener)
  app.missions.start({ id: 'a', name: 'job' })
  const { cursor } = await subscribe(await connect(app))
  const cases: Array<[string, Cursor]> = [
    ['epoch_changed', { ...cursor, epoch: 'another' }],
    ['mismatch', { ...cursor, id: 'message_other' }],
    ['mismatch', { ...cursor, offset: cursor.offset + 1 }],
    ['mismatch', { ...start, id: 'x' }]
  ]
  for (const [cause, since] of cases) {
    const { ack, payloads } = await subscribe(await connect(app), { since })
    t.match(ack, { outcome: 'gap', gap: { cause, range: undefined }, asOf: { offset: 1 }, messages: 1 })
    t.match(payloads, [{ missionId: 'a', snapshot: true }])
  }
  t.equal((await subscribe(await connect(app), { since: start })).ack.outcome, 'resumed', 'a cursor from before the first message')
})

t.test('messages that were trimmed from the log are reported as a gap; every ending is sent nevertheless', async (t) => {
  const { app, clock } = await bootWithClock(t, { websocket: { history: { maxAgeMs: 60_000 } } })
  const open = app.missions.start({ id: 'open', name: 'job' })
  const cursor = await visit(app)
  await subscribe(await connect(app))
  for (let at = 0; at < 120; at++) app.missions.start({ id: `m${at}`, name: 'job' }).complete()
  clock.advance(60_001)
  open.executionStarted()
  const { ack, payloads } = await subscribe(await connect(app), { since: cursor })
  const last = cursor.offset + 241
  t.match(ack, { outcome: 'gap', gap: { cause: 'trimmed', range: { epoch: cursor.epoch, from: cursor.offset + 1, to: last } }, asOf: { offset: last } })
  t.same(payloads.map(({ missionId, status }) => `${missionId} ${status}`),
    ['open execution_started', ...Array.from({ length: 120 }, (_, at) => `m${at} completed`)])
  const after = await subscribe(await connect(app), { since: { epoch: cursor.epoch, offset: last - 1, id: 'x' } })
  t.match(after.ack.gap, { cause: 'mismatch' }, 'the id of the last trimmed message is still known')
})

t.test('a channel stays open for clients that reconnect', async (t) => {
  const { app, clock } = await bootWithClock(t, { websocket: { history: { maxAgeMs: 60_000 } } })
  const cursor = await visit(app)
  clock.advance(59_000)
  app.missions.start({ id: 'early', name: 'job' })
  const { ack } = await subscribe(await connect(app), { since: cursor })
  t.equal(ack.outcome, 'resumed')
  t.equal(ack.messages, 1)
})

t.test('after a long time without subscribers, a client that reconnects receives a gap and the recorded endings', async (t) => {
  const { app, clock } = await bootWithClock(t, { websocket: { history: { maxAgeMs: 60_000, maxMessages: 3 } } })
  const cursor = await visit(app)
  clock.advance(60_000)
  for (let at = 0; at < 5; at++) app.missions.start({ id: `m${at}`, name: 'job' }).complete()
  app.missions.start({ id: 'open', name: 'job' })
  const { ack, payloads, cursor: next } = await subscribe(await connect(app), { since: cursor })
  t.match(ack, { outcome: 'gap', gap: { cause: 'trimmed', range: { from: cursor.offset + 1, to: cursor.offset + 1 } } })
  t.same(payloads.map(({ missionId }) => missionId), ['open', 'm2', 'm3', 'm4'], 'as many as are recorded')
  t.equal((await subscribe(await connect(app), { since: next })).ack.outcome, 'resumed')
})

t.test('a filter selects snapshots and updates', async (t) => {
  const { app } = await bootWithClock(t)
  app.missions.start({ id: 'a', name: 'build', tags: ['x', 'y'] })
  app.missions.start({ id: 'b', name: 'import' })
  const cases: Array<[SubscriptionFilter, string[]]> = [
    [{ missionIds: ['b', 'c'] }, ['b', 'c']],
    [{ names: ['build'] }, ['a', 'c']],
    [{ tags: ['y', 'z'] }, ['a', 'c']],
    [{ tags: ['x'], names: ['import'] }, []],
    [{ statuses: ['planning_started'] }, ['a', 'b', 'c']]
  ]
  const clients = []
  for (const [filter, ids] of cases) {
    const client = await connect(app)
    const { ack, payloads } = await subscribe(client, { filter })
    t.same(payloads.map(({ missionId }) => missionId), ids.filter((id) => id !== 'c'), JSON.stringify(filter))
    t.equal(ack.asOf!.checksum, missionChecksum(payloads))
    clients.push({ client, ids })
  }
  app.missions.start({ id: 'c', name: 'build', tags: ['z'] })
  for (const id of ['a', 'b', 'c']) app.missions.report(id, 'completed')
  for (const { client, ids } of clients) {
    const updates = (await client.settle()).flatMap((message) => message.type === 'mission_update' ? [`${message.payload.missionId} ${message.payload.status}`] : [])
    t.same(updates, [...ids.includes('c') ? ['c planning_started'] : [], ...ids.map((id) => `${id} completed`)])
  }
})

t.test('a mission that leaves the statuses of a filter is reported once more', async (t) => {
  const { app } = await bootWithClock(t)
  const client = await connect(app)
  await subscribe(client, { filter: { statuses: ['execution_started'] } })
  const a = app.missions.start({ id: 'a', name: 'job' })
  a.executionStarted()
  a.progress({ taskId: 'x', index: 1, total: 2, status: 'started' })
  a.progress({ taskId: 'x', index: 2, total: 2, status: 'started' })
  a.complete()
  const statuses = (await client.settle()).flatMap((message) => message.type === 'mission_update' ? [message.payload.status] : [])
  t.same(statuses, ['execution_started', 'execution_progress'])
})

t.test('a new filter replaces the previous one; the same filter changes nothing', async (t) => {
  const { app } = await bootWithClock(t)
  app.missions.start({ id: 'a', name: 'build' })
  app.missions.start({ id: 'b', name: 'import' })
  const client = await connect(app)
  t.equal((await subscribe(client, { filter: { names: ['build', 'x'] } })).messages.length, 1)
  client.send({ type: 'subscribe', channels: ['mission_update'], filter: { names: ['x', 'build', 'x'] } })
  t.same((await client.next('subscription_ack')).payload, { channel: 'mission_update', status: 'subscribed' })
  t.equal((await subscribe(client)).messages.length, 2)
  app.missions.report('b', 'planned')
  t.equal((await client.settle()).length, 1)
  const { channels, subscriptionsTotal } = app.missionControl.wsMetrics()
  t.equal(channels.find(({ channel }) => channel === 'mission_update')!.count, 1)
  t.equal(subscriptionsTotal, 1)
})

t.test('a resume with a filter counts and sends only matching messages', async (t) => {
  const { app } = await bootWithClock(t)
  const cursor = await visit(app)
  for (const name of ['build', 'import', 'build']) app.missions.start({ id: `${name}${Math.random()}`, name })
  const { ack, payloads } = await subscribe(await connect(app), { since: cursor, filter: { names: ['build'] } })
  t.equal(ack.outcome, 'resumed')
  t.equal(ack.asOf!.offset, cursor.offset + 3)
  t.same(payloads.map(({ name }) => name), ['build', 'build'])
  t.equal(ack.asOf!.checksum, missionChecksum(payloads))
})

t.test('a subscribe whose filter or cursors do not belong to its channels is invalid', async (t) => {
  const { app } = await bootWithClock(t)
  const client = await connect(app)
  const cursor = { epoch: 'x', offset: 0, id: '' }
  for (const rest of [
    { channels: ['health_delta'], filter: { names: ['x'] } },
    { channels: ['health_delta'], since: { mission_update: cursor } },
    { channels: ['metrics_tick'], since: { metrics_tick: cursor } },
    { channels: ['mission_update'], filter: { names: [] } },
    { channels: ['mission_update'], filter: { missionIds: Array(65).fill('x') } },
    { channels: ['mission_update'], filter: { colour: ['x'] } },
    { channels: ['mission_update'], since: { mission_update: { ...cursor, offset: -1 } } }
  ]) {
    client.send({ type: 'subscribe', ...rest })
    t.equal((await client.next('protocol_error')).error.code, 'invalid_message', JSON.stringify(rest))
  }
  t.same(await client.settle(), [])
})

t.test('every channel with a log can be resumed, each from its own cursor', async (t) => {
  const { app } = await bootWithClock(t)
  const client = await connect(app)
  client.send({ type: 'subscribe', channels: ['health_delta', 'anomaly_alert', 'mission_stats', 'metrics_tick'] })
  const cursors: Record<string, Cursor> = {}
  for (let at = 0; at < 4; at++) {
    const { payload } = await client.next('subscription_ack')
    t.equal(payload.outcome, 'fresh')
    t.equal(payload.messages, { health_delta: 1, mission_stats: 1 }[payload.channel as string] ?? 0, payload.channel)
    if (payload.asOf !== undefined) cursors[payload.channel] = cursorOf(payload.asOf)
  }
  t.same(Object.keys(cursors), ['health_delta', 'anomaly_alert'])
  await client.close()
  app.monitoring.reportHealth('degraded')
  app.monitoring.reportHealth('healthy')
  const back = await connect(app)
  back.send({ type: 'subscribe', channels: Object.keys(cursors), since: cursors })
  const acks = [await back.next('subscription_ack'), await back.next('subscription_ack')]
  t.match(acks.map(({ payload }) => payload), [{ channel: 'health_delta', outcome: 'resumed', messages: 2 }, { channel: 'anomaly_alert', outcome: 'resumed', messages: 0 }])
  t.equal((await back.next('health_delta')).payload.status, 'degraded')
  t.equal((await back.next('health_delta')).payload.status, 'healthy')
})

t.test('a heartbeat contains the last position of each logged channel of the client', async (t) => {
  const { app, clock } = await bootWithClock(t)
  const [idle, one, two] = [await connect(app), await connect(app), await connect(app)]
  await subscribe(one)
  await subscribe(two)
  await two.subscribe('health_delta')
  app.missions.start({ id: 'a', name: 'job' })
  const { id, position } = await one.next('mission_update')
  clock.advance(30_000)
  const beats = await Promise.all([idle, one, two].map(async (client) => await client.next('heartbeat')))
  t.match(beats, [{ intervalMs: 30_000, heads: undefined }, { heads: { mission_update: { ...position, id } } }, { heads: { mission_update: { ...position, id }, health_delta: { offset: 0, id: '' } } }])
  t.equal(beats[1]!.heads!.health_delta, undefined)
})

t.test('`mission_get` returns one mission, whether it is active, ended or evicted', async (t) => {
  let hidden: string | undefined
  const access = { identify: () => ({ id: 'ann' }), authorize: (_principal: unknown, { action, mission }: AccessQuestion) => action !== 'see' || mission!.id !== hidden }
  const { app } = await bootWithClock(t, { missions: { maxEnded: 1 }, access })
  app.missions.start({ id: 'active', name: 'job' })
  app.missions.start({ id: 'evicted', name: 'job' }).complete()
  app.missions.start({ id: 'recent', name: 'job' }).complete()
  app.missions.start({ id: 'failed', name: 'job' }).fail('broken')
  t.equal(app.missions.get('evicted'), undefined)
  const client = await connect(app)
  const ask = async (missionId: string) => {
    client.send({ type: 'mission_get', missionId, id: missionId })
    const [answer] = await client.settle()
    t.equal((answer as { replyTo?: string }).replyTo, missionId)
    return answer
  }
  t.match(await ask('active'), { payload: { status: 'planning_started', snapshot: true } })
  t.match(await ask('evicted'), { payload: { status: 'completed', snapshot: true } })
  t.match(await ask('failed'), { payload: { status: 'error', error: 'broken', errorCode: 'error' } })
  t.match(await ask('other'), { error: { code: 'unknown_mission' } })
  for (hidden of ['active', 'evicted', 'failed']) {
    for (const missionId of ['active', 'evicted', 'failed']) {
      t.match(await ask(missionId), missionId === hidden ? { error: { code: 'unknown_mission' } } : { payload: { missionId, snapshot: true } }, `${missionId} while ${hidden} is hidden`)
    }
  }
})

t.test('a mission whose start is not acknowledged yet is in no snapshot', async (t) => {
  const { app } = await bootWithClock(t)
  let release = () => {}
  app.missions.handle({ start: { start: () => new Promise((resolve) => { const mission = app.missions.start({ id: 'asked', name: 'job' }); release = () => resolve(mission) }) } })
  const client = await connect(app)
  client.send({ type: 'mission_start', command: 'go' })
  while (app.missions.get('asked') === undefined) await new Promise((resolve) => setImmediate(resolve))
  const other = await connect(app)
  t.same((await subscribe(other)).messages, [])
  other.send({ type: 'mission_get', missionId: 'asked' })
  t.equal((await other.next('protocol_error')).error.code, 'unknown_mission')
  release()
  t.match((await other.next('mission_update')).payload, { missionId: 'asked', status: 'planning_started' })
  t.equal((await subscribe(await connect(app))).messages.length, 1)
})

t.test('`authorize` decides who may subscribe and who may receive earlier messages', async (t) => {
  const asked: unknown[] = []
  const { app } = await bootWithClock(t, {
    access: {
      identify: ({ query }) => ({ id: (query as { role: string }).role }),
      authorize ({ id: role }, { action, channel }) {
        if (action === 'see') return true
        asked.push([action, channel])
        if (role === 'broken') throw new Error('canary')
        if (role === 'late') return Promise.resolve(true) as never
        if (role === 'rejecting') return Promise.reject(new Error('canary')) as never
        return role === 'all' || (role === 'live' && action === 'subscribe') || (role === 'odd' && 'yes' as never)
      }
    }
  })
  const as = async (role: string) => await connect(app, { path: `/ws/mission-control?role=${role}` })
  const all = await as('all')
  const { cursor } = await subscribe(all)
  app.missions.start({ id: 'a', name: 'job' })
  t.equal((await subscribe(await as('all'), { since: cursor })).ack.outcome, 'resumed')
  const live = await subscribe(await as('live'), { since: cursor })
  t.match(live.ack, { outcome: 'gap', gap: { cause: 'not_authorised', range: undefined } })
  t.match(live.payloads, [{ missionId: 'a', snapshot: true }])
  for (const role of ['none', 'broken', 'late', 'rejecting', 'odd']) {
    const client = await as(role)
    client.send({ type: 'subscribe', channels: ['nope', 'health_delta', 'mission_update'], id: 'x' })
    const errors = (await client.settle()).filter((message) => message.type === 'subscription_error')
    t.same(errors.map(({ error, replyTo }) => [error.code, error.position, replyTo]), [['unknown_channel', 0, 'x'], ['forbidden', 1, 'x'], ['forbidden', 2, 'x']], role)
    client.send({ type: 'mission_get', missionId: 'a' })
    t.equal((await client.next('protocol_error')).error.code, 'unknown_mission')
    t.same(await client.settle(), [])
  }
  t.same(asked.slice(0, 4), [['subscribe', 'mission_update'], ['replay', 'mission_update'], ['subscribe', 'mission_update'], ['replay', 'mission_update']])
  app.missions.report('a', 'completed')
  const late = await as('live')
  t.same((await subscribe(late)).payloads, [], 'nor endings from before the subscription')
  late.send({ type: 'mission_get', missionId: 'a' })
  t.equal((await late.next('protocol_error')).error.code, 'unknown_mission')
  t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 4)
})

t.test('the metrics show the outcomes of subscriptions and the size of the log', async (t) => {
  const { app } = await bootWithClock(t)
  const cursor = await visit(app)
  app.missions.start({ id: 'a', name: 'job' })
  await subscribe(await connect(app), { since: cursor })
  await subscribe(await connect(app), { since: { ...cursor, epoch: 'x' } })
  const { body } = await app.missionControl.metrics.render()
  t.match(body, 'mission_control_ws_subscription_outcomes_total{outcome="fresh"} 1')
  t.match(body, 'mission_control_ws_subscription_outcomes_total{outcome="resumed"} 1')
  t.match(body, 'mission_control_ws_gaps_total{cause="epoch_changed"} 1')
  t.match(body, 'mission_control_ws_log_messages 1')
})

t.test('a snapshot is that of the present: what happened before a subscription never follows it', async (t) => {
  const { app, clock } = await bootWithClock(t)
  const missions = Array.from({ length: 150 }, (_, at) => app.missions.start({ id: `m${at}`, name: at < 10 ? 'few' : 'many' }))
  const first = await subscribe(await connect(app))
  t.equal(first.ack.messages, 150)
  clock.advance(1_000)
  missions[0]!.progress({ taskId: 'x', index: 1, total: 9, status: 'started' })
  missions[0]!.progress({ taskId: 'x', index: 2, total: 9, status: 'started' })
  for (const mission of missions.slice(1, 4)) mission.complete()
  missions[4]!.planned()
  for (const [filter, ids] of [[undefined, missions.map(({ id }) => id)], [{ names: ['few'] }, missions.slice(0, 10).map(({ id }) => id)]] as const) {
    const client = await connect(app)
    const { ack, payloads } = await subscribe(client, filter && { filter: { names: [...filter.names] } })
    t.same(payloads.map(({ missionId }) => missionId), ids.filter((id) => !['m1', 'm2', 'm3'].includes(id)))
    t.ok(payloads.every(({ snapshot }) => snapshot))
    t.match(payloads[0], { missionId: 'm0', status: 'execution_progress', progress: { index: 2 } })
    t.match(payloads[1], { missionId: 'm4', status: 'planned' })
    t.equal(ack.asOf!.offset, first.ack.asOf!.offset + 5)
    t.equal(ack.asOf!.checksum, missionChecksum(payloads))
    t.same(await client.settle(), [])
  }
  const client = await connect(app)
  await subscribe(client)
  missions[0]!.progress({ taskId: 'x', index: 3, total: 9, status: 'started' })
  t.match((await subscribe(await connect(app))).payloads[0], { missionId: 'm0', progress: { index: 3 } }, 'also what the progress limit delays')
  clock.advance(1_000)
  t.match(await client.next('mission_update'), { payload: { missionId: 'm0', progress: { index: 3 } }, position: undefined })

  const seen = async () => {
    clock.advance(1)
    const { payloads: [{ seq, progress }] } = await subscribe(await connect(app)) as unknown as { payloads: [{ seq: number, progress: { index: number } }] }
    return [seq, progress.index]
  }
  missions[0]!.progress({ taskId: 'x', index: 4, total: 9, status: 'started' })
  const [seq] = await seen()
  missions[0]!.progress({ taskId: 'x', index: 5, total: 9, status: 'started' })
  t.same(await seen(), [seq, 5], 'a change that is not sent yet')
  clock.advance(1_000)
  t.same(await seen(), [seq! + 1, 5], 'the same change once it was sent')
})

t.test('each snapshot of a connection has new ids and the time at which it is sent', async (t) => {
  for (const count of [3, 700]) {
    const { app, clock } = await bootWithClock(t)
    for (let at = 0; at < count; at++) app.missions.start({ id: `m${at}`, name: at % 2 === 0 ? 'even' : 'odd' })
    for (let at = 0; at < 3; at++) app.missions.start({ id: `ended${at}`, name: 'even' }).complete()
    const client = await connect(app)
    const sizes = []
    for (const [at, options] of [{}, {}, { endings: 2 }, { endings: 3 }, { filter: { names: ['even'] } }, { filter: { names: ['odd', 'even'] } }, { endings: 3, snapshot: true }].entries()) {
      // Twice in a row within the same millisecond.
      if (at % 2 === 0) clock.advance(1_000)
      if (!('filter' in options)) client.send({ type: 'unsubscribe', channels: ['mission_update'] })
      if (!('filter' in options)) await client.next('subscription_ack', ({ payload }) => payload.status === 'unsubscribed')
      const { messages } = await subscribe(client, options)
      sizes.push(messages.length)
      t.ok(messages.every(({ unix, timestamp }) => unix === clock.now() && Date.parse(timestamp) === unix), `${at}: the present time`)
    }
    t.same(sizes, [count, count, count + 2, count + 3, Math.ceil(count / 2), count, count + 3])
    const ids = client.received.map(({ id }) => id)
    t.equal(new Set(ids).size, ids.length)
  }
})

t.test('a snapshot that is subscribed to and left within one tick has new ids too', async (t) => {
  const { app } = await bootWithClock(t)
  for (let at = 0; at < 700; at++) app.missions.start({ id: `m${at}`, name: 'job' })
  const client = await connect(app)
  const requests = ['subscribe', 'unsubscribe', 'subscribe', 'unsubscribe', 'subscribe']
  client.send({ type: 'subscribe', channels: ['health_delta'] })
  for (const type of requests) client.send({ type, channels: ['mission_update', 'health_delta'] })
  for (let acks = 0; acks < 11; acks++) await client.next('subscription_ack')
  const states = () => client.received.flatMap((message) => message.type === 'mission_update' ? [message.payload.missionId] : [])
  while (states().at(-1) !== 'm699') await new Promise((resolve) => setImmediate(resolve))
  const ids = client.received.map(({ id }) => id)
  t.equal(new Set(ids).size, ids.length)
  t.same(states().slice(-700), Array.from({ length: 700 }, (_, at) => `m${at}`))
})

t.test('the states of a snapshot are encoded once, however many clients receive it; a changed one is encoded again', async (t) => {
  const { app, clock } = await bootWithClock(t)
  const missions = Array.from({ length: 150 }, (_, at) => app.missions.start({ id: `m${at}`, name: at < 10 ? 'few' : 'many' }))
  for (let at = 0; at < 5; at++) app.missions.start({ id: `ended${at}`, name: 'few' }).complete()
  const cursor = await visit(app)
  clock.advance(1)
  const { stringify } = JSON
  const encoded: string[] = []
  t.teardown(() => { JSON.stringify = stringify })
  JSON.stringify = ((value: unknown, ...rest: [never]) => {
    const { snapshot, missionId } = (value ?? {}) as { snapshot?: true, missionId?: string }
    if (snapshot === true && missionId !== undefined) encoded.push(missionId)
    return stringify(value, ...rest)
  }) as typeof stringify
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(app)))
  const options: SubscribeOptions[] = [{}, { endings: 5 }, { filter: { names: ['few'] }, endings: 5 }, { since: { ...cursor, epoch: 'x' } }]
  const sizes = await Promise.all(clients.map(async (client, at) => (await subscribe(client, options[at % 4])).messages.length))
  t.same(sizes.slice(0, 4), [150, 155, 15, 155])
  t.equal(encoded.length, 155)
  t.equal(new Set(encoded).size, 155)

  encoded.length = 0
  missions[3]!.planned()
  missions[4]!.complete()
  app.missions.start({ id: 'new', name: 'few' })
  clock.advance(1)
  for (let at = 0; at < 3; at++) {
    const { payloads } = await subscribe(await connect(app), { endings: 1 })
    t.match([payloads[3], payloads[149], payloads[150]], [{ missionId: 'm3', status: 'planned' }, { missionId: 'new' }, { missionId: 'm4', status: 'completed' }])
  }
  t.same(encoded, ['m3', 'new', 'm4'])

  encoded.length = 0
  clock.advance(60_000)
  await subscribe(await connect(app))
  t.equal(encoded.length, 150, 'what nobody has needed for a while was not kept')
})

t.test('clients that subscribe at the same time share messages, and each one receives every mission once', async (t) => {
  const { app, clock } = await bootWithClock(t)
  for (let at = 0; at < 700; at++) app.missions.start({ id: `m${at}`, name: at < 10 ? 'few' : 'many' })
  clock.advance(1)
  const [one, two, few, late] = [await connect(app), await connect(app), await connect(app), await connect(app)]
  const [first, second, filtered] = await Promise.all([subscribe(one), subscribe(two), subscribe(few, { filter: { names: ['few'] } })])
  const idsOf = ({ messages }: { messages: Array<{ id: string }> }) => messages.map(({ id }) => id)
  t.same(idsOf(second), idsOf(first), 'one message for all its receivers')
  t.same(idsOf(filtered), idsOf(first).slice(0, 10))
  clock.advance(21)
  const third = await subscribe(late)
  t.same(third.payloads, first.payloads)
  t.same(idsOf(third).filter((id) => idsOf(first).includes(id)), [])
})

t.test('a snapshot reaches clients with and without compression', async (t) => {
  const { app, clock } = await bootWithClock(t, { websocket: { compression: true } })
  const metadata = { text: Array.from({ length: 100 }, (_, at) => `größer ${at} 😀`).join() }
  for (let at = 0; at < 100; at++) app.missions.start({ id: `m${at}`, name: at % 2 === 0 ? 'small' : 'large', ...(at % 2 === 1 && { metadata }) })
  const ids = new Set<string>()
  for (const perMessageDeflate of [true, false, { serverMaxWindowBits: 10 }]) {
    clock.advance(1_000)
    const client = await connect(app, { perMessageDeflate })
    const { messages, payloads } = await subscribe(client)
    t.same(payloads.map(({ missionId }) => missionId), Array.from({ length: 100 }, (_, at) => `m${at}`))
    t.same(payloads[1]!.metadata, metadata)
    t.ok(messages.every(({ unix }) => unix === clock.now()))
    for (const { id } of messages) ids.add(id)
  }
  t.equal(ids.size, 300)
})

t.test('a replayed message is the same message, however often a connection asks for it; the newest progress then has a new id', async (t) => {
  const { app, clock } = await bootWithClock(t)
  const a = app.missions.start({ id: 'a', name: 'job' })
  const client = await connect(app)
  const { cursor } = await subscribe(client)
  a.executionStarted()
  for (let index = 1; index < 3; index++) {
    a.progress({ taskId: 'x', index, total: 9, status: 'started' })
    clock.advance(1_000)
  }
  const live = (await client.settle()).filter(({ type }) => type === 'mission_update')
  t.equal(live.length, 3)
  const seen = new Set(client.received.map(({ id }) => id))
  for (let times = 0; times < 2; times++) {
    client.send({ type: 'unsubscribe', channels: ['mission_update'] })
    await client.next('subscription_ack', ({ payload }) => payload.status === 'unsubscribed')
    clock.advance(1_000)
    const { messages } = await subscribe(client, { since: cursor })
    t.same(messages, live.slice(0, 2), 'the reliable messages, unchanged')
    const [latest, ...rest] = await client.settle()
    t.match(latest, { type: 'mission_update', unix: clock.now(), payload: { missionId: 'a', progress: { index: 2 } } })
    t.same(rest, [])
    t.notOk(seen.has(latest!.id))
    seen.add(latest!.id)
  }
  const other = await connect(app)
  await subscribe(other, { since: cursor })
  t.same(await other.settle(), live.slice(2), 'a connection that does not know it gets the message itself')
})

t.test('a catch-up of more than a thousand messages is complete and not queued in memory', async (t) => {
  const { app } = await bootWithClock(t)
  const cursor = await visit(app)
  const plan = { text: 'x'.repeat(2_000) }
  for (let at = 0; at < 700; at++) app.missions.start({ id: `m${at}`, name: 'job' }).planned(plan)
  const fresh = await connect(app)
  const state = await subscribe(fresh)
  t.equal(new Set(state.payloads.map(({ missionId }) => missionId)).size, 700)
  t.ok(app.missionControl.wsMetrics().messagesSentTotal >= 700)
  app.missions.report('m0', 'completed')
  t.match(await fresh.next('mission_update'), { payload: { missionId: 'm0', status: 'completed' }, position: { offset: state.cursor.offset + 1 } })

  const back = await connect(app)
  await back.subscribe('health_delta')
  back.send({ type: 'subscribe', channels: ['mission_update'], since: { mission_update: cursor } })
  const ack = await back.next('subscription_ack', ({ payload }) => payload.channel === 'mission_update')
  app.monitoring.reportHealth('degraded')
  t.match(ack.payload, { outcome: 'resumed', messages: 1_401 })
  const offsets = []
  for (let at = 0; at < 1_401; at++) offsets.push((await back.next('mission_update')).position!.offset - cursor.offset)
  t.same(offsets, Array.from({ length: 1_401 }, (_, at) => at + 1))
  t.equal((await back.next('health_delta', ({ payload }) => payload.snapshot === undefined)).payload.status, 'degraded')
  t.match(await app.missionControl.metrics.render(), { body: /mission_control_ws_lagged_total 0\n/ })
})

t.test('a new filter ends the catch-up of the previous subscription', async (t) => {
  const { app } = await bootWithClock(t)
  const plan = { text: 'x'.repeat(2_000) }
  for (let at = 0; at < 700; at++) app.missions.start({ id: `m${at}`, name: at < 5 ? 'few' : 'many', metadata: plan })
  const client = await connect(app)
  client.send({ type: 'subscribe', channels: ['mission_update'], id: 'all' })
  client.send({ type: 'subscribe', channels: ['mission_update'], id: 'few', filter: { names: ['few'] } })
  await client.next('subscription_ack', ({ replyTo }) => replyTo === 'few')
  const after = (await client.settle()).flatMap((message) => message.type === 'mission_update' ? [message.payload.name] : [])
  t.same(after.slice(-5), Array(5).fill('few'))
  app.missions.report('m699', 'completed')
  app.missions.report('m0', 'completed')
  t.equal((await client.next('mission_update')).payload.missionId, 'm0')
})

t.test('all channels are stopped when the service has closed', async (t) => {
  const clock = createVirtualClock()
  let timers = 0
  const counting = {
    ...clock,
    every: (ms: number, run: () => void) => { timers++; const timer = clock.every(ms, run); return { cancel: () => { timers--; timer.cancel() } } }
  }
  const app = await boot(t, { clock: counting })
  const client = await connect(app)
  await client.subscribe('anomaly_alert', 'mission_stats', 'mission_update')
  await client.close()
  while (app.missionControl.wsMetrics().connectionsOpen > 0) await new Promise((resolve) => setImmediate(resolve))
  t.ok(timers > 0, 'the channel is still open for clients that reconnect')
  await app.close()
  t.equal(timers, 0)
})

t.test('a client that lost its permission for a channel loses the subscription', async (t) => {
  let isAllowed = true
  const { app } = await bootWithClock(t, { access: { identify: () => ({ id: 'ann' }), authorize: () => isAllowed } })
  const client = await connect(app)
  await subscribe(client)
  isAllowed = false
  client.send({ type: 'subscribe', channels: ['mission_update'], filter: { names: ['job'] } })
  t.equal((await client.next('subscription_error')).error.code, 'forbidden')
  app.missions.start({ id: 'a', name: 'job' })
  t.same(await client.settle(), [])
  t.equal(app.missionControl.wsMetrics().channels.find(({ channel }) => channel === 'mission_update')!.count, 0)
})

t.test('the ending of a mission is sent until its id is used again', async (t) => {
  const { app } = await bootWithClock(t, { missions: { maxEnded: 0 } })
  for (let times = 0; times < 2; times++) app.missions.start({ id: 'sync', name: 'job', attempt: 'next' }).complete()
  const { payloads: ended } = await subscribe(await connect(app), { endings: 5 })
  t.match(ended, [{ missionId: 'sync', status: 'completed' }], 'once, the newest')
  t.equal(ended.length, 1)
  app.missions.start({ id: 'sync', name: 'job', attempt: 'next' })
  const { payloads, ack } = await subscribe(await connect(app), { endings: 5 })
  t.match(payloads, [{ missionId: 'sync', status: 'planning_started' }])
  t.equal(payloads.length, 1)
  t.equal(ack.asOf!.checksum, missionChecksum([{ missionId: 'sync', status: 'planning_started' }]))
})

t.test('many subscribes in one tick by a client that does not read stay within the limits of its outbox', async (t) => {
  const { app } = await bootWithClock(t)
  const sockets: Socket[] = []
  app.server.on('connection', (socket: Socket) => sockets.push(socket))
  for (let at = 0; at < 50; at++) app.missions.start({ id: `m${at}`, name: 'job', metadata: { text: 'x'.repeat(2_000) } })
  const client = await RawClient.connect(app, { isMute: true })
  client.freeze()
  const subscribeFrame = (name: string) => frame(OPCODE.text, JSON.stringify({ type: 'subscribe', channels: ['mission_update'], filter: { names: ['job', name] } }))
  client.write(...Array.from({ length: 90 }, (_, at) => subscribeFrame(`other ${at}`)))
  const read = async (name: string) => Number(new RegExp(`^mission_control_ws_${name} (\\d+)$`, 'm').exec((await app.missionControl.metrics.render()).body)![1])
  while (await read('messages_received_total') < 90) await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  t.ok(sockets[0]!.writableLength < 400_000, `${sockets[0]!.writableLength} bytes wait in the socket, of ${90 * 50 * 2_300}`)
  t.ok(await read('outbox_bytes') < 1_048_576)
  client.socket.destroy()
})

t.test('a gap of a channel without a log has no position', async (t) => {
  const clock = createVirtualClock()
  const envelope = new MessageEnvelope(clock, { name: 'x', version: '1' })
  const log = new MessageLog({ clock, options: { maxMessages: 10, maxBytes: 10_000, maxAgeMs: 1_000 } })
  const channel: Channel = { name: 'mission_stats', delivery: () => ({}), start () {}, stop () {}, snapshot: () => [] }
  const snapshots = new SnapshotCache({ clock, envelope, log, channel: () => channel, onGap () {} })
  const snapshot = snapshots.snapshot('mission_stats', { filter: undefined, endings: { after: 0 } })
  const { payload } = JSON.parse(String(envelope.send(snapshots.gap('mission_stats', { cause: 'overflow', snapshot })).text))
  t.same(payload, { channel: 'mission_stats', cause: 'overflow', messages: 0 })
})
