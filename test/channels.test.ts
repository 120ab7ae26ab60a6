import t from 'tap'
import { Endings, toUpdate } from '../lib/missions/index.js'
import { createMetricsTickChannel } from '../lib/channels/metrics-tick.js'
import { createMissionUpdateChannel } from '../lib/channels/mission-update.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import type { MissionControlOptions } from '../lib/index.js'
import { boot } from './support/app.js'
import { connect, type Client } from './support/client.js'
import { build } from './support/missions.js'

const START = Date.UTC(2026, 5, 1)
// A long heartbeat interval: on a clock that jumps, no pong could arrive in time.
const setup = async (t: Tap, options: MissionControlOptions = {}) => {
  const clock = createVirtualClock(START)
  const app = await boot(t, { clock, websocket: { heartbeatMs: 1_000_000_000 }, ...options })
  return { clock, app, client: await connect(app) }
}
type Tap = Parameters<typeof boot>[0]

const typesOf = async (client: Client) => (await client.settle()).map(({ type }) => type)

t.test('metrics_tick', async (t) => {
  const operation = { component: 'db', operation: 'read', status: 'success' } as const

  t.test('is sent at once after the first operation, then at most once per interval, and only if an operation was recorded', async (t) => {
    const { clock, app, client } = await setup(t)
    await client.subscribe('metrics_tick')
    clock.advance(60_000)
    t.same(await typesOf(client), [], 'no operation, no tick')
    app.monitoring.trackOperation({ ...operation, durationMs: 10 })
    const { payload } = await client.next('metrics_tick')
    t.match(payload, { count: 1, windowMs: 60_000, tISO: new Date(START + 60_000).toISOString() })
    for (const quantile of [payload.p50, payload.p95, payload.p99]) t.ok(Math.abs(quantile - 10) <= 0.16, `${quantile}`)
    for (let i = 0; i < 10; i++) {
      app.monitoring.trackOperation({ ...operation, durationMs: 20 })
      clock.advance(249)
    }
    t.same(await typesOf(client), [])
    clock.advance(10)
    t.same(await typesOf(client), [], 'time alone does not tick')
    app.monitoring.trackOperation({ ...operation, durationMs: 20 })
    t.equal((await client.next('metrics_tick')).payload.count, 12)
  })

  t.test('is also sent for an operation without a duration, with zeros if nothing was measured', async (t) => {
    const { app, client } = await setup(t)
    await client.subscribe('metrics_tick')
    app.monitoring.trackOperation(operation)
    t.match((await client.next('metrics_tick')).payload, { p50: 0, p95: 0, p99: 0, count: 0 })
  })

  t.test('reaches a new subscriber at the next operation without speeding up the others', async (t) => {
    const { app, client } = await setup(t)
    await client.subscribe('metrics_tick')
    app.monitoring.trackOperation(operation)
    const second = await (await connect(app)).subscribe('metrics_tick')
    const gone = await (await connect(app)).subscribe('metrics_tick')
    await gone.send({ type: 'unsubscribe', channels: ['metrics_tick'] }).next('subscription_ack')
    app.monitoring.trackOperation(operation)
    app.monitoring.trackOperation(operation)
    t.same(await typesOf(client), ['metrics_tick'])
    t.same(await typesOf(second), ['metrics_tick'])
    t.same(await typesOf(gone), [])
  })

  t.test('uses the interval option', async (t) => {
    const { clock, app, client } = await setup(t, { channels: { metricsTickMinMs: 100 } })
    await client.subscribe('metrics_tick')
    for (const waitMs of [0, 99, 1, 100]) {
      clock.advance(waitMs)
      app.monitoring.trackOperation(operation)
    }
    t.equal((await typesOf(client)).length, 3)
  })

  t.test('is never triggered by the plugin itself', async (t) => {
    const { app, client } = await setup(t, { monitoring: { trackRequests: true } })
    await client.subscribe('metrics_tick', 'mission_stats', 'health_delta')
    app.missions.start('job').complete()
    for (const url of ['/health', '/mission-control/ws-metrics', '/api/v1/metrics/prometheus']) {
      t.equal((await fetch(`http://127.0.0.1:${port(app)}${url}`)).status, 200)
    }
    t.same((await typesOf(client)).filter((type) => type === 'metrics_tick'), [])
  })
})

t.test('requests of the host are recorded as operations if trackRequests is set', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, monitoring: { trackRequests: true } })
  app.get('/users/:id', async () => 'ok')
  app.get('/fail', async () => { throw new Error('no') })
  app.get('/refuse', async (_request, reply) => reply.code(404).send())
  await app.inject('/users/7')
  await app.inject('/users/8')
  await app.inject('/fail')
  await app.inject('/refuse')
  await app.inject('/nowhere')
  const series = app.monitoring.operations().series.map(({ component, operation, success, error }) => [component, operation, success, error])
  t.same(series, [['http', 'GET:/users/:id', 2, 0], ['http', 'GET:/fail', 0, 1], ['http', 'GET:/refuse', 1, 0], ['http', 'GET:unmatched', 1, 0]])

  const silent = await boot(t)
  silent.get('/', async () => 'ok')
  await silent.inject('/')
  t.same(silent.monitoring.operations().series, [], 'and not when not asked for')
})

t.test('mission_stats', async (t) => {
  t.test('is sent at once and then at its interval, computed once for all subscribers', async (t) => {
    const { clock, app, client } = await setup(t)
    await client.subscribe('mission_stats')
    const first = (await client.next('mission_stats')).payload
    t.match(first, { active: 0, completed: 0, cancelled: 0, errors: 0, total: 0, avgDurationMs: null })
    app.missions.start('a').complete()
    app.missions.start('b').fail('no')
    app.missions.start('c').report('cancelled')
    app.missions.start('d')
    const second = await (await connect(app)).subscribe('mission_stats')
    await second.next('mission_stats')
    clock.advance(9_999)
    t.same(await client.settle(), [])
    clock.advance(1)
    const stats = await client.next('mission_stats')
    t.match(stats.payload, { active: 1, completed: 1, cancelled: 1, errors: 1, total: 4, avgDurationMs: 0 })
    t.not(stats.payload.snapshotId, first.snapshotId)
    t.same(await second.next('mission_stats'), stats)
  })

  t.test('stops its timer when the last subscriber unsubscribes or disconnects', async (t) => {
    const { clock, app, client } = await setup(t, { channels: { missionStatsMs: 50 } })
    await client.subscribe('mission_stats')
    await client.send({ type: 'unsubscribe', channels: ['mission_stats'] }).next('subscription_ack', ({ payload }) => payload.status === 'unsubscribed')
    const sent = app.missionControl.wsMetrics().messagesSentTotal
    clock.advance(500)
    t.equal(app.missionControl.wsMetrics().messagesSentTotal, sent)
    await client.subscribe('mission_stats')
    await client.settle()
    clock.advance(50)
    t.same(await typesOf(client), ['mission_stats'])
  })
})

t.test('mission_update', async (t) => {
  t.test('carries every mission under its own id, even if many run at once', async (t) => {
    const { app, client } = await setup(t)
    await client.subscribe('mission_update')
    const missions = ['a', 'b', 'c'].map((id) => app.missions.start({ id, name: `job ${id}` }))
    for (const step of ['tasks_generated', 'planned', 'execution_started'] as const) for (const mission of missions) mission.report(step)
    for (const mission of missions) mission.progress({ taskId: `task of ${mission.id}`, index: 1, total: 1, status: 'done' })
    for (const mission of missions) mission.complete()
    const updates = (await client.settle()).map((message) => message.type === 'mission_update' ? message.payload : undefined)
    for (const { id } of missions) {
      const own = updates.filter((update) => update?.missionId === id)
      t.same(own.map((update) => update!.status), ['planning_started', 'tasks_generated', 'planned', 'execution_started', 'execution_progress', 'completed'])
      t.equal(own[4]!.progress!.taskId, `task of ${id}`)
      t.equal(own[0]!.name, `job ${id}`)
    }
    t.equal(updates.length, 18, 'and nothing twice')
  })

  t.test('is sent for reports that have only an id, including errors', async (t) => {
    const { app, client } = await setup(t)
    await client.subscribe('mission_update')
    app.missions.report('job-1', 'planned', { planningSession: { steps: ['x'] }, tasksSummary: ['x'] })
    app.missions.report('job-1', 'error', { error: Object.assign(new Error('broken'), { code: 'E_BROKEN' }) })
    t.match((await client.next('mission_update')).payload, { missionId: 'job-1', planningSession: { steps: ['x'] }, tasksSummary: ['x'] })
    t.match((await client.next('mission_update')).payload, { status: 'error', error: 'broken', errorCode: 'E_BROKEN' })
  })
})

t.test('only updates with nothing but progress are replaceable', async (t) => {
  const { clock, registry } = build()
  const { delivery } = createUpdates({ registry, clock }).channel
  const progress = { missionId: 'm', name: 'job', seq: 3, status: 'execution_progress' } as const
  t.match(delivery(progress), { key: 'm' })
  t.match(delivery({ ...progress, progress: { taskId: 'a', index: 1, total: 2, status: 'x' } }), { key: 'm' })
  t.match(delivery({ ...progress, error: 'broken', errorCode: 'E', errorCauses: ['C'] }), { key: 'm' }, 'each update repeats the error')
  const cancel = { requested: true, kind: 'client', reason: null, by: null } as const
  for (const news of [{ status: 'completed' }, { status: 'planned' }, { previousStatus: 'planned' }, { cancel }, { planningSession: {} }, { tasksSummary: [] }] as const) {
    t.match(delivery({ ...progress, ...news }), { key: undefined, supersedes: 'm' }, JSON.stringify(news))
  }
})

t.test('health_delta', async (t) => {
  t.test('sends a new subscriber the current state, unknown before the first round, and then only changes', async (t) => {
    const { app, client } = await setup(t, { health: { provider: () => new Promise(() => {}) } })
    await client.subscribe('health_delta')
    t.match((await client.next('health_delta')).payload, { status: 'unknown', snapshot: true, health: { checkedAt: null } })
    app.monitoring.reportHealth('degraded')
    const degraded = (await client.next('health_delta')).payload
    t.match(degraded, { status: 'degraded', health: { status: 'degraded' } })
    t.notOk('snapshot' in degraded)
    app.monitoring.reportHealth('degraded')
    app.monitoring.reportHealth('critical')
    app.monitoring.reportHealth('healthy')
    t.same((await client.settle()).map((message) => message.type === 'health_delta' && message.payload.status), ['critical', 'healthy'])
  })

  t.test('sends nothing from the host except status and response time of its components', async (t) => {
    const { app, client } = await setup(t)
    await client.subscribe('health_delta')
    app.monitoring.reportHealth('critical', {
      status: 'critical', secret: 'canary', components: { db: { status: 'unhealthy', responseTimeMs: 5, dsn: 'canary' } }
    } as never)
    const message = await client.next('health_delta', ({ payload }) => payload.status === 'critical')
    t.match(message.payload.health.components['db'], { status: 'unhealthy', responseTimeMs: 5 })
    t.notMatch(JSON.stringify(message), 'canary')
  })
})

t.test('anomaly_alert', async (t) => {
  t.test('is sent when an alert fires, changes its severity or is resolved, and never in between', async (t) => {
    const { clock, app, client } = await setup(t)
    await client.subscribe('anomaly_alert')
    t.same(await client.settle(), [])
    const missions = Array.from({ length: 11 }, () => app.missions.start('job'))
    clock.advance(74_999)
    t.same(await client.settle(), [], 'the condition must be true for a minute')
    clock.advance(1)
    const firing = (await client.next('anomaly_alert')).payload
    t.match(firing, { category: 'mission', severity: 'warning', rule: 'mission_active', metric: 'active', value: 11, threshold: 10, state: 'firing' })
    clock.advance(150_000)
    t.same(await client.settle(), [], 'an alert that goes on is not repeated')

    const late = await (await connect(app)).subscribe('anomaly_alert')
    t.match((await late.next('anomaly_alert')).payload, { alertId: firing.alertId, state: 'firing', snapshot: true }, 'a new subscriber learns what fires')

    for (let i = 0; i < 15; i++) missions.push(app.missions.start('job'))
    clock.advance(15_000)
    t.match((await client.next('anomaly_alert')).payload, { alertId: firing.alertId, severity: 'critical', threshold: 25, state: 'firing' })
    for (const mission of missions) mission.complete()
    clock.advance(300_000)
    t.same(await client.settle(), [], 'and false for five minutes')
    clock.advance(15_000)
    t.match((await client.next('anomaly_alert')).payload, { alertId: firing.alertId, severity: 'info', state: 'resolved' })
    t.same(await client.settle(), [])
  })

  t.test('is evaluated without subscribers, so that it is current for the first one', async (t) => {
    const { clock, app, client } = await setup(t)
    for (let i = 0; i < 5; i++) app.missions.start('job').fail('no')
    clock.advance(75_000)
    await client.subscribe('anomaly_alert')
    t.match((await client.next('anomaly_alert')).payload, { rule: 'mission_error_rate', severity: 'critical', state: 'firing', snapshot: true })
  })
})

t.test('the host can publish only payloads that match the schema of the channel', async (t) => {
  const { app, client } = await setup(t)
  await client.subscribe('anomaly_alert')
  const anomaly = {
    category: 'performance',
    severity: 'info',
    message: 'a slow query',
    metric: null,
    value: null,
    threshold: null,
    details: { table: 'orders' },
    alertId: 'a1',
    rule: 'slow_query',
    state: 'firing'
  } as const
  app.missionControl.publish('anomaly_alert', anomaly)
  t.same((await client.next('anomaly_alert')).payload, anomaly)
  t.throws(() => app.missionControl.publish('anomaly_alert', { ...anomaly, severity: 'fatal' } as never), { code: 'FST_MC_INVALID_PAYLOAD', message: /severity/ })
  t.throws(() => app.missionControl.publish('nope' as never, {} as never), { code: 'FST_MC_INVALID_PAYLOAD', message: /metrics_tick/ })
  t.throws(() => app.missionControl.publish('__proto__' as never, {} as never), { code: 'FST_MC_INVALID_PAYLOAD' })
  app.missionControl.publish('metrics_tick', { p50: 0, p95: 0, p99: 0, count: 0, windowMs: 1, tISO: new Date().toISOString() })
  t.same(await client.settle(), [], 'who does not listen gets nothing')
})

function port (app: { server: { address (): unknown } }): number {
  return (app.server.address() as { port: number }).port
}

t.test('the snapshot of mission_update has the complete state of each active mission', async (t) => {
  const { missions, clock, registry } = build({ stallMs: 1_000 })
  const { channel, endings } = createUpdates({ registry, clock })
  const silent = missions.start({ id: 'silent', name: 'job', objective: 'all', metadata: { rows: 1 }, tags: ['night'] })
  clock.advance(1_000)
  silent.child({ name: 'part' }).waiting('for rain')
  silent.cancel()
  missions.start({ id: 'failed', name: 'job' }).fail(new Error('broken'))
  t.match(channel.snapshot(), [
    { missionId: 'silent', status: 'planning_started', objective: 'all', metadata: { rows: 1 }, tags: ['night'], stalled: true, cancel: { kind: 'request' }, snapshot: true },
    { parentId: 'silent', waiting: 'for rain', cancel: { kind: 'parent' }, snapshot: true }
  ])
  t.match(endings.find('failed')?.update, { missionId: 'failed', status: 'error', error: 'broken', errorCode: 'error', durationMs: 0, endedAt: clock.now(), snapshot: true })
})

/** The mission_update channel of a registry. */
function createUpdates ({ registry, clock }: Pick<ReturnType<typeof build>, 'registry' | 'clock'>) {
  const all = new Endings({ clock, max: 10, maxAgeMs: 1_000, keepsSubjects: false })
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

t.test('ended missions are kept up to a number and an age, and the newest of each id is found', async (t) => {
  const { missions, clock, registry } = build({ maxEnded: 0 })
  const { endings } = createUpdates({ registry, clock })
  const end = (id: string) => missions.start({ id, name: 'job', attempt: 'next' }).complete()
  for (let at = 0; at < 40; at++) end(`m${at}`)
  t.equal(endings.size, 10)
  t.same([endings.find('m29'), endings.find('m30')?.id], [undefined, 'm30'])
  endings.connect(() => undefined, 7)
  endings.disconnect()
  end('again')
  end('again')
  endings.connect(() => undefined, 8)
  t.same(endings.between(7, 8).map(({ id }) => id), ['again'], 'of two with one id the newest')
  t.equal(endings.between(-1, 8).length, 9)
  t.same(endings.newest(3, 7, () => true).map(({ id }) => id), ['m37', 'm38', 'm39'])
  t.same(endings.newest(2, 8, ({ id }) => id !== 'm39').map(({ id }) => id), ['m38', 'again'], 'as many as there are')
  t.equal(endings.between(7, 8)[0], endings.between(7, 8)[0], 'the same object each time')
  const parent = missions.start({ id: 'parent', name: 'job' })
  const child = parent.child({ id: 'child', name: 'part', objective: 'all', tags: ['night'] })
  child.progress({ taskId: 'x', index: 1, total: 2, status: 'done' })
  child.cancel()
  child.fail('broken')
  t.match(endings.find(child.id)?.update, {
    parentId: 'parent', objective: 'all', tags: ['night'], progress: { index: 1 }, cancel: { kind: 'request' }, error: 'broken', errorCode: 'error', previousStatus: 'execution_progress'
  })
  for (let at = 0; at < 8; at++) end(`n${at}`)
  t.equal(endings.find('again')?.id, 'again', 'the older of two has gone')
  clock.advance(1_001)
  t.equal(endings.find('again'), undefined)
  t.equal(endings.size, 0)
})

t.test('a subscriber that unsubscribes before the first tick is not waited for', async (t) => {
  const clock = createVirtualClock()
  let measure = () => {}
  const told: unknown[] = []
  const latency = () => ({ p50: 0, p95: 0, p99: 0, count: 0, windowMs: 60_000 })
  const unasked = () => { throw new Error('nobody asks for it') }
  const channel = createMetricsTickChannel({ clock, minIntervalMs: 1_000, latency, histogram: unasked, operations: unasked, onOperation: (listener) => { measure = listener; return () => {} } })
  channel.start((_payload, only) => { told.push(only); return undefined }, 0)
  const [earlier, staying, leaving] = [{}, {}, {}]
  channel.joined!(earlier)
  measure()
  for (const subscriber of [staying, leaving]) channel.joined!(subscriber)
  channel.left!(leaving)
  measure()
  t.strictSame(told, [undefined, { only: new Set([staying]) }])
})
