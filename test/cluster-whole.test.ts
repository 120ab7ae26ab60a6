import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { createVirtualClock } from '../lib/index.js'
import { createMemoryBackplane } from '../lib/backplane/index.js'
import { connectReporter } from '../lib/reporter.js'
import { connect } from './support/client.js'
import { startProcess, startProcesses, until } from './support/cluster.js'

t.test('numbers of the whole', async (t) => {
  t.test('latency is that of all processes, from their histograms', async (t) => {
    const [one, two] = await startProcesses(t, 2, { channels: { metricsTickMinMs: 1 } })
    const client = await (await connect(two!.app)).subscribe('metrics_tick')
    for (let i = 0; i < 99; i++) one!.app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success', durationMs: 10 })
    two!.app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success', durationMs: 1_000 })
    const tick = await client.next('metrics_tick', ({ payload }) => payload.count === 100)
    t.ok(Math.abs(tick.payload.p95 - 10) < 0.5, `p95 ${tick.payload.p95}`)
    t.ok(Math.abs(tick.payload.p50! - 10) < 0.5)
    t.equal(two!.app.monitoring.latency().count, 1, 'app.monitoring is that of the process')
  })

  t.test('the histogram of a process that does not evaluate the alerts has the durations of all, too', async (t) => {
    const [one, two] = await startProcesses(t, 2, { channels: { metricsTickMinMs: 1 } })
    const client = await connect(two!.app)
    client.send({ type: 'subscribe', channels: ['metrics_tick'], latency: ['histogram'] })
    await client.next('subscription_ack')
    const track = (app: FastifyInstance) => app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success', durationMs: 10 })
    let [own, count] = [0, 0]
    for (; count <= own && own < 2_000; own++) {
      track(one!.app)
      track(two!.app)
      count = (await client.next('metrics_tick')).payload.histogram!.count
    }
    t.ok(count > own, `${count} durations, ${own} of its own`)
  })

  t.test('health is the worst of all processes, with their components; the probes of a process are its own', async (t) => {
    const [one, two] = await startProcesses(t, 2)
    const client = await (await connect(two!.app)).subscribe('health_delta')
    await client.next('health_delta')
    one!.app.monitoring.reportHealth('critical', { components: { db: { status: 'unhealthy' } } })
    const { payload } = await client.next('health_delta')
    t.equal(payload.status, 'critical')
    const name = Object.keys(payload.health.components).find((name) => name.endsWith('/db'))
    t.match(payload.health.components[name!], { status: 'unhealthy' })
    t.equal((await two!.app.inject('/health')).statusCode, 200)
    t.equal((await one!.app.inject('/health')).statusCode, 503)
    one!.app.monitoring.reportHealth('healthy')
    t.equal((await client.next('health_delta')).payload.status, 'healthy')
  })

  t.test('statistics of a tenant are those of all processes', async (t) => {
    const access = { identify: () => ({ id: 'u', tenant: 'acme' }) }
    const [one, two] = await startProcesses(t, 2, { access, channels: { missionStatsMs: 20 } })
    const client = await (await connect(two!.app)).subscribe('mission_stats')
    one!.app.missions.start({ id: 'a', name: 'import', tenant: 'acme' })
    one!.app.missions.start({ id: 'b', name: 'import', tenant: 'globex' })
    two!.app.missions.start({ id: 'c', name: 'import', tenant: 'acme' })
    two!.app.missions.get('c')!.complete()
    t.match(await client.next('mission_stats', ({ payload }) => payload.completed === 1 && payload.active === 1), { payload: { total: 2 } })
    t.match(one!.app.missions.stats(), { active: 2, completed: 1 })
  })

  t.test('Prometheus shows the missions of the process, or of all with the scope cluster', async (t) => {
    const backplane = createMemoryBackplane()
    const own = await startProcess(t, backplane)
    const all = await startProcess(t, backplane, { prometheus: { scope: 'cluster' } })
    own.app.missions.start({ id: 'a', name: 'import' })
    own.app.missions.start({ id: 'b', name: 'import' }).complete()
    all.app.missions.start({ id: 'c', name: 'import' })
    await until(() => own.app.missions.stats().total === 3 && all.app.missions.stats().total === 3)
    const read = async ({ app }: typeof own) => (await app.inject('/api/v1/metrics/prometheus')).body
    t.match(await read(own), /oneagent_mission_active 1\n[^]*oneagent_mission_total 2\n/)
    t.match(await read(all), /oneagent_mission_active 2\n[^]*oneagent_mission_total 3\n/)
    t.match(await read(all), /mission_control_backplane_up 1\n/)
  })

  t.test('stalled missions of other processes are counted', async (t) => {
    const [one, two] = await startProcesses(t, 2, { missions: { stallMs: 20 } })
    const mission = one!.app.missions.start({ id: 'a', name: 'import' })
    await until(() => two!.app.missions.stats().stalled === 1)
    mission.progress(10)
    await until(() => two!.app.missions.stats().stalled === 0)
    t.equal(two!.app.missions.stats().active, 1)
  })
})

t.test('alerts', async (t) => {
  t.test('one process evaluates the rules, all clients get each change once, and another process goes on', async (t) => {
    const [one, two] = await startProcesses(t, 2, { channels: { anomalyAlertMs: 20 }, alerts: { rules: { mission_active: { forMs: 0, keepMs: 0 } } }, leaseMs: 300 })
    await until(() => two!.backplane.calls.filter((name) => name === 'renew').length > 1)
    const clients = await Promise.all([one!, two!].map(async ({ app }) => await (await connect(app)).subscribe('anomaly_alert')))
    for (let i = 0; i < 11; i++) (i % 2 === 0 ? one! : two!).app.missions.start({ id: `m${i}`, name: 'import' })
    const alerts = await Promise.all(clients.map(async (client) => await client.next('anomaly_alert')))
    t.match(alerts[0]!.payload, { rule: 'mission_active', state: 'firing', severity: 'warning', value: 11 })
    t.equal(alerts[0]!.id, alerts[1]!.id)
    t.strictSame(alerts[0]!.position, alerts[1]!.position)
    const late = await connect(two!.app)
    await late.subscribe('anomaly_alert')
    t.match((await late.next('anomaly_alert')).payload, { alertId: alerts[0]!.payload.alertId, snapshot: true })
    one!.backplane.fault = 'silent'
    await until(() => two!.app.missions.list({ limit: 200 }).missions.every(({ instance }) => instance === two!.app.missions.list().missions[0]!.instance))
    for (let i = 0; i < 11; i++) two!.app.missions.report(`m${i}`, 'completed')
    const resolved = await clients[1]!.next('anomaly_alert', ({ payload }) => payload.state === 'resolved')
    t.equal(resolved.payload.alertId, alerts[0]!.payload.alertId, 'the alert of the process before')
  })
})

t.test('messages of the host', async (t) => {
  t.test('what the host publishes in one process reaches the clients of all, in the order of the log', async (t) => {
    const [one, two] = await startProcesses(t, 2)
    const clients = await Promise.all([one!, two!].map(async ({ app }) => await (await connect(app)).subscribe('mission_update', 'health_delta', 'metrics_tick')))
    for (const client of clients) await client.next('health_delta')
    one!.app.missionControl.publish('mission_update', { missionId: 'x', name: 'legacy', status: 'completed', seq: 7 })
    one!.app.missionControl.publish('metrics_tick', { p50: 1, p95: 2, p99: 3, count: 1, windowMs: 60_000, tISO: new Date().toISOString() })
    const updates = await Promise.all(clients.map(async (client) => await client.next('mission_update')))
    t.match(updates[0]!, { payload: { missionId: 'x', seq: 7 }, position: { offset: 1 } })
    t.equal(updates[0]!.id, updates[1]!.id)
    for (const client of clients) t.equal((await client.next('metrics_tick')).payload.p95, 2)
    t.throws(() => one!.app.missionControl.publish('mission_update', {} as never), { code: 'FST_MC_INVALID_PAYLOAD' })
  })
})

t.test('a process without HTTP', async (t) => {
  t.test('reports missions that the service shows, and ends those that run in it when it closes', async (t) => {
    const backplane = createMemoryBackplane()
    const { app } = await startProcess(t, backplane)
    const client = await (await connect(app)).subscribe('mission_update')
    const reporter = await connectReporter({ backplane, service: { name: 'importer' }, missions: { closeGraceMs: 1 } })
    t.teardown(async () => await reporter.close())
    const result = await reporter.missions.run({ id: 'a', name: 'import' }, async (mission) => {
      mission.progress(50)
      return 7
    })
    t.equal(result, 7)
    await client.next('mission_update', ({ payload }) => payload.status === 'completed')
    reporter.monitoring.reportHealth('degraded')
    const running = reporter.missions.spawn({ id: 'b', name: 'import' }, async () => { await new Promise(() => {}) })
    const reported = reporter.missions.start({ id: 'c', name: 'import' })
    await Promise.all([reporter.close(), reporter.close()])
    t.match(running.outcome, { status: 'cancelled', cancel: { kind: 'shutdown' } })
    t.match(await app.missions.waitFor('b'), { status: 'cancelled' })
    t.equal(reported.isTerminal, false)
    t.equal(app.missions.stats().active, 1)
    t.throws(() => reporter.missions.start('late'), { code: 'FST_MC_CLOSING' })
    await t.rejects(reported.settled(), { code: 'FST_MC_CLOSING' })
  })

  t.test('refuses wrong options, and tells its logger of the backplane', async (t) => {
    await t.rejects(connectReporter({ backplane: {} as never }), { code: 'FST_MC_INVALID_OPTION' })
    await t.rejects(connectReporter({ backplane: createMemoryBackplane(), service: { name: '' } }), { code: 'FST_MC_INVALID_OPTION' })
    const lines: unknown[] = []
    const log = { trace () {}, debug () {}, info () {}, error () {}, warn: (...line: unknown[]) => { lines.push(line) }, child: () => log }
    const clock = createVirtualClock()
    const away = { leaseMs: 15_000, connect: () => new Proxy({}, { get: () => async () => { throw new Error('away') } }) }
    const connecting = connectReporter({ backplane: away as never, log, clock })
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(5_000)
    const reporter = await connecting
    t.match(lines, [[{ err: { message: 'away' } }, 'the backplane has a problem']])
    const mission = reporter.missions.start('work')
    mission.complete()
    t.equal((await mission.done).status, 'completed')
    const closing = reporter.close()
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(2_000)
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(1_000)
    await closing
  })
})
