import t, { type Test } from 'tap'
import { createMemoryBackplane } from '../lib/backplane/index.js'
import { CallbackErrors } from '../lib/base/callback-errors.js'
import { resolveOptions } from '../lib/base/options.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { createCore } from '../lib/core.js'
import Fastify from 'fastify'
import missionControl, { type HostAlertRule, type MissionControlOptions } from '../lib/index.js'
import { createMissions } from '../lib/missions/index.js'
import type { Anomaly, ServerMessages } from '../schemas/index.js'
import { boot } from './support/app.js'
import { connect, type Client } from './support/client.js'
import { startProcess, startProcesses, until } from './support/cluster.js'

const START = Date.UTC(2026, 5, 1)
const MINUTE = 60_000

/** A service on a virtual clock with a client. */
async function serve (t: Test, options: MissionControlOptions = {}) {
  const clock = createVirtualClock(START)
  const app = await boot(t, { clock, websocket: { heartbeatMs: 1_000_000_000 }, ...options })
  const client = await (await connect(app)).subscribe('anomaly_alert')
  return { clock, app, client }
}

const alertsIn = async (client: Client): Promise<Anomaly[]> => (await client.settle()).flatMap((message) => message.type === 'anomaly_alert' ? [message.payload] : [])
const brief = (alerts: readonly Anomaly[]) => alerts.map(({ rule, state, severity }) => [rule, state, severity])

async function historyOf (client: Client, limit?: number): Promise<Anomaly[]> {
  client.send({ type: 'anomaly_history', id: 'h', ...limit !== undefined && { limit } })
  return ((await client.next('anomaly_history', ({ replyTo }) => replyTo === 'h')) as ServerMessages['anomaly_history']).payload.alerts
}

t.test('stalled missions are named once, and are no load', async (t) => {
  const { clock, app, client } = await serve(t, { missions: { stallMs: MINUTE } })
  for (let at = 0; at < 12; at++) app.missions.start({ id: `stuck-${at}`, name: 'job' })
  for (let at = 0; at < 10; at++) app.missions.start({ id: `works-${at}`, name: 'job' })
  const work = (minutes: number) => {
    for (let at = 0; at < minutes * 2; at++) {
      for (let one = 0; one < 10; one++) app.missions.get(`works-${one}`)!.heartbeat()
      clock.advance(30_000)
    }
  }
  work(20)
  const sent = await alertsIn(client)
  const [stalled] = sent.filter(({ rule }) => rule === 'missions_stalled')
  t.match(stalled, { severity: 'critical', value: 12, message: /^12 missions show no activity, .*: stuck-0, .* and 2 more$/ })
  t.equal(stalled!.missionIds!.length, 10)
  t.strictSame(sent.filter(({ rule }) => rule === 'mission_active'), [], '12 of the 22 stall within a minute')
  app.missions.start({ id: 'late', name: 'job' })
  work(20)
  t.match(await alertsIn(client), [{ rule: 'missions_stalled', missionIds: ['late'], alertId: stalled!.alertId }])
  for (let at = 0; at < 12; at++) app.missions.get(`stuck-${at}`)!.complete()
  app.missions.get('late')!.complete()
  work(20)
  t.strictSame(brief((await alertsIn(client)).filter(({ rule }) => rule === 'missions_stalled')), [['missions_stalled', 'resolved', 'info']])
})

t.test('durations are compared with those of the same name', async (t) => {
  const { clock, app, client } = await serve(t)
  const run = (name: string, ms: number) => {
    const mission = app.missions.start({ name })
    for (let left = ms; left > 0; left -= MINUTE) {
      clock.advance(Math.min(left, MINUTE))
      mission.heartbeat()
    }
    mission.complete()
  }
  for (let at = 0; at < 40; at++) run('job', 20_000 + at * 100)
  t.strictSame(await alertsIn(client), [])
  run('job', 8 * MINUTE)
  run('new', 60 * MINUTE)
  clock.advance(MINUTE)
  t.match(await alertsIn(client), [{ rule: 'duration_outlier', severity: 'info', value: 8 * MINUTE, labels: { name: 'job' }, missionIds: [/^mission_/] }])
  const slow = app.missions.start({ id: 'slow', name: 'job' })
  for (let at = 0; at < 14; at++) {
    clock.advance(MINUTE)
    slow.heartbeat()
  }
  t.match((await alertsIn(client)).filter(({ rule }) => rule === 'oldest_active'), [{ severity: 'warning', missionIds: ['slow'], labels: { name: 'job' } }])
})

t.test('the names whose durations are compared are limited, and established ones stay', async (t) => {
  const { clock, app, client } = await serve(t)
  const run = (name: string, ms = 20_000) => {
    const mission = app.missions.start({ name })
    clock.advance(ms)
    mission.complete()
  }
  for (let at = 0; at < 300; at++) run(`once-${at}`, 1)
  for (let at = 0; at < 40; at++) run('job')
  for (let at = 0; at < 300; at++) run(`later-${at}`, 1)
  clock.advance(30 * MINUTE)
  await client.settle()
  const mission = app.missions.start({ name: 'job' })
  clock.advance(9 * MINUTE)
  mission.complete()
  clock.advance(MINUTE)
  t.match((await alertsIn(client)).filter(({ rule }) => rule === 'duration_outlier'), [{ labels: { name: 'job' } }])
})

t.test('missions that start and do not end are a growing backlog, and then nothing ends', async (t) => {
  const { clock, app, client } = await serve(t, { missions: { stallMs: 10_000_000 } })
  for (let at = 0; at < 30; at++) {
    app.missions.start({ name: 'job' }).complete()
    clock.advance(MINUTE)
  }
  for (let at = 0; at < 60; at++) {
    app.missions.start({ name: 'job' })
    clock.advance(MINUTE / 2)
  }
  const rules = (await alertsIn(client)).map(({ rule }) => rule)
  t.ok(rules.includes('backlog_growth'), rules.join())
  t.ok(rules.includes('throughput_drop'), rules.join())
})

t.test('an ending that was reported late counts for the time when it happened', async (t) => {
  const { clock, app, client } = await serve(t)
  clock.advance(120 * MINUTE)
  for (let at = 0; at < 9; at++) app.missions.report(`old-${at}`, 'error', { error: 'no', startedAt: clock.now() - 90 * MINUTE, endedAt: clock.now() - 60 * MINUTE })
  clock.advance(5 * MINUTE)
  t.strictSame(await alertsIn(client), [])
  for (let at = 0; at < 9; at++) app.missions.report(`new-${at}`, 'error', { error: 'no' })
  clock.advance(5 * MINUTE)
  t.strictSame(brief(await alertsIn(client)).sort(), [['mission_error_rate', 'firing', 'critical'], ['repeated_error', 'firing', 'warning']])
})

t.test('operations that are not reported any more, or always take the same time, are found, but not in a quiet night', async (t) => {
  const { clock, app, client } = await serve(t)
  const track = (operation: string, durationMs: number) => app.monitoring.trackOperation({ component: 'db', operation, status: 'success', durationMs })
  const work = (minutes: number, ...durations: Array<[operation: string, next: () => number]>) => {
    for (let at = 0; at < minutes * 4; at++) {
      for (const [operation, next] of durations) track(operation, next())
      clock.advance(15_000)
    }
  }
  let count = 0
  const varying = () => 10 + (count++ % 7) + count / 1_000
  work(30, ['read', varying], ['write', varying])
  app.monitoring.trackOperation({ component: 'db', operation: 'connect', status: 'success' })
  clock.advance(12 * 60 * MINUTE)
  work(10, ['read', varying], ['write', varying])
  t.strictSame(await alertsIn(client), [])
  work(20, ['read', varying])
  t.match(await alertsIn(client), [{ rule: 'metric_missing', severity: 'info', labels: { component: 'db', operation: 'write' }, message: /^The operation write of db was not reported for 1\d\.?\d* min, more than 15 min$/ }])
  work(40, ['read', () => 5], ['write', varying])
  t.match(await alertsIn(client), [{ rule: 'metric_missing', state: 'resolved' }, { rule: 'metric_flat', severity: 'info', labels: { component: 'db', operation: 'read' }, message: 'The operation read of db always takes 5 ms, for more than 30 min' }])
  work(10, ['read', varying], ['write', varying])
  t.match(await alertsIn(client), [{ rule: 'metric_flat', state: 'resolved' }])
})

t.test('a process whose event loop is late says so, in real time', async (t) => {
  const app = await boot(t, { channels: { anomalyAlertMs: 10 }, alerts: { rules: { event_loop_late: { warningMs: 0, criticalMs: 1_000_000, forMs: 0 } } } })
  const client = await (await connect(app)).subscribe('anomaly_alert')
  t.match((await client.next('anomaly_alert', ({ payload }) => payload.rule === 'event_loop_late')).payload, { severity: 'warning', threshold: 0, category: 'monitoring' })
})

t.test('the host reads the alerts that fire, and silences one', async (t) => {
  const { clock, app, client } = await serve(t)
  const { alerts, silence } = app.monitoring
  t.strictSame(alerts(), [])
  for (let at = 0; at < 11; at++) app.missions.start('job')
  clock.advance(2 * MINUTE)
  const [fired] = await alertsIn(client)
  t.match(alerts(), [{ alertId: fired!.alertId, fingerprint: 'mission_active', snapshot: true }])
  silence('mission_active', clock.now() + 60 * MINUTE, 'ann')
  clock.advance(MINUTE)
  t.match(await alertsIn(client), [{ alertId: fired!.alertId, silencedUntil: new Date(START + 62 * MINUTE).toISOString() }])
  t.match(alerts(), [{ silencedUntil: new Date(START + 62 * MINUTE).toISOString() }])
  for (const [arguments_, message] of [[[7, 1, 'ann'], /fingerprint/], [['x'.repeat(513), 1, 'ann'], /fingerprint/], [['x', NaN, 'ann'], /time/], [['x', 1, ''], /who/]] as const) {
    t.throws(() => silence(...arguments_ as unknown as [string, number, string]), { code: 'FST_MC_INVALID_SILENCE', message })
  }
  silence('mission_active', Number.MAX_SAFE_INTEGER, 'ann')
  clock.advance(MINUTE)
  t.match(await alertsIn(client), [{ alertId: fired!.alertId, silencedUntil: '9999-12-31T23:59:59.999Z' }], 'silenced for ever')
})

t.test('the host reads the latency of its busiest operations', async (t) => {
  const { app } = await serve(t)
  app.monitoring.trackOperation({ component: 'db', operation: 'query', status: 'success', durationMs: 12 })
  t.match(app.monitoring.operationLatencies(), [{ component: 'db', operation: 'query' }])
})

t.test('a client reads the history, and what fires', async (t) => {
  const { clock, app, client } = await serve(t)
  t.strictSame(await historyOf(client), [])
  for (let at = 0; at < 5; at++) app.missions.start('job').cancelled()
  clock.advance(2 * MINUTE)
  const missions = Array.from({ length: 11 }, () => app.missions.start('job'))
  clock.advance(2 * MINUTE)
  for (const mission of missions) mission.complete()
  clock.advance(2 * MINUTE)
  t.strictSame(brief(await historyOf(client)), [['mission_active', 'firing', 'warning'], ['cancel_storm', 'firing', 'warning']])
  clock.advance(30 * MINUTE)
  const history = await historyOf(client)
  t.strictSame(history.map(({ rule, state }) => [rule, state]), [['mission_active', 'resolved'], ['cancel_storm', 'resolved']])
  t.match(history[0], { peak: 11, startsAt: /T/, endsAt: /T/ })
  t.equal((await historyOf(client, 1)).length, 1)
  client.send({ type: 'anomaly_history', limit: 201 })
  t.match(await client.next('protocol_error'), { error: { code: 'invalid_message' } })
})

const ACCESS = { identify: ({ headers }: { headers: Record<string, unknown> }) => JSON.parse(String(headers['x-who'])) }
const as = async (app: Awaited<ReturnType<typeof boot>>, principal: object) => await connect(app, { headers: { 'x-who': JSON.stringify(principal) } })

t.test('alerts about the missions of a tenant are for this tenant, also without subscribers', async (t) => {
  const clock = createVirtualClock(START)
  const app = await boot(t, { clock, access: ACCESS, websocket: { heartbeatMs: 1_000_000_000 } })
  const acme = await as(app, { id: 'a', tenant: 'acme' })
  const globex = await as(app, { id: 'b', tenant: 'globex' })
  const operator = await as(app, { id: 'root' })
  for (const client of [acme, globex]) t.strictSame(await historyOf(client), [])
  for (let at = 0; at < 6; at++) app.missions.start({ name: 'job', tenant: 'acme' }).fail(new Error('card 4111 was refused'))
  clock.advance(2 * MINUTE)
  const fired = await historyOf(acme)
  t.match(fired, [{ rule: 'mission_error_rate', labels: { tenant: 'acme' }, fingerprint: 'mission_error_rate{tenant="acme"}' }, { rule: 'repeated_error' }])
  t.strictSame(await historyOf(globex), [])
  t.match(await historyOf(operator), [{ rule: 'mission_error_rate', labels: {} }, { rule: 'repeated_error' }])
  t.match(app.monitoring.alerts({ tenant: 'acme' }), [{ rule: 'mission_error_rate' }, { rule: 'repeated_error' }])
  t.strictSame(app.monitoring.alerts({ tenant: 'globex' }), [])
  app.monitoring.silence(fired[0]!.fingerprint!, clock.now() + 60 * MINUTE, 'ann')
  await acme.subscribe('anomaly_alert')
  await acme.settle()
  clock.advance(MINUTE)
  t.match(await alertsIn(acme), [{ rule: 'mission_error_rate', silencedUntil: /T/ }])
})

t.test('of many tenants, those that nobody asks for are dropped, but none with subscribers', async (t) => {
  const clock = createVirtualClock(START)
  const app = await boot(t, { clock, access: ACCESS, websocket: { heartbeatMs: 1_000_000_000 } })
  const acme = await (await as(app, { id: 'a', tenant: 'acme' })).subscribe('anomaly_alert')
  t.strictSame(app.monitoring.alerts({ tenant: 'idle' }), [])
  for (let at = 0; at < 6; at++) for (const tenant of ['acme', 'idle']) app.missions.start({ name: 'job', tenant }).fail('no')
  clock.advance(2 * MINUTE)
  t.equal(app.monitoring.alerts({ tenant: 'idle' }).length, 2)
  for (let at = 0; at < 1_000; at++) app.monitoring.alerts({ tenant: `tenant ${at}` })
  t.equal(app.monitoring.alerts({ tenant: 'idle' }).length, 0, 'it begins anew')
  t.equal((await alertsIn(acme)).length, 2)
  clock.advance(20 * MINUTE)
  t.equal((await alertsIn(acme)).filter(({ state }) => state === 'resolved').length, 2)
})

t.test('once the service has closed, nothing is evaluated any more', async (t) => {
  const clock = createVirtualClock(START)
  const app = await boot(t, { clock, access: ACCESS })
  for (let at = 0; at < 6; at++) app.missions.start({ name: 'job', tenant: 'acme' }).fail('no')
  await app.close()
  t.strictSame(app.monitoring.alerts({ tenant: 'acme' }), [])
  clock.advance(10 * MINUTE)
  t.strictSame(app.monitoring.alerts({ tenant: 'acme' }), [])
})

t.test('a listener that throws is counted, and the others receive the alert', async (t) => {
  const clock = createVirtualClock(START)
  const log = { trace () {}, debug () {}, info () {}, error () {}, warn () {}, child: () => log }
  const callbackErrors = new CallbackErrors(log)
  const options = { ...resolveOptions({}, {}), backplane: undefined }
  const { alerts, missions } = createCore({ options, clock, log, access: { isRestricted: false, isNarrowed: false }, callbackErrors })
  const received: string[] = []
  alerts.of(undefined).onChanged(() => { throw new Error('no') })
  alerts.of(undefined).onChanged(({ rule }) => { received.push(rule) })
  alerts.start()
  const host = createMissions(missions)
  for (let at = 0; at < 11; at++) host.start({ name: 'job' })
  clock.advance(2 * MINUTE)
  alerts.close()
  missions.close()
  t.strictSame(received, ['mission_active'])
  t.equal(callbackErrors.read()['alert_listener'], 1)
})

t.test('where the host decides who sees a mission, alerts have no ids and no texts of errors', async (t) => {
  const clock = createVirtualClock(START)
  const access = { ...ACCESS, authorize: (_: unknown, { action, channel }: { action: string, channel?: string }) => channel !== undefined && action !== 'see' }
  const app = await boot(t, { clock, access, missions: { stallMs: MINUTE }, websocket: { heartbeatMs: 1_000_000_000 } })
  const client = await (await as(app, { id: 'a', tenant: 'acme' })).subscribe('anomaly_alert')
  app.missions.start({ id: 'secret-id', name: 'job', tenant: 'acme' })
  for (let at = 0; at < 6; at++) app.missions.start({ name: 'job', tenant: 'acme' }).fail(new Error('secret-text'))
  clock.advance(10 * MINUTE)
  const alerts = [...await alertsIn(client), ...await historyOf(client)]
  t.strictSame([...new Set(alerts.map(({ rule }) => rule))].sort(), ['mission_error_rate', 'missions_stalled', 'repeated_error'])
  t.notMatch(JSON.stringify(alerts), /secret/)
  t.match(alerts.find(({ rule }) => rule === 'repeated_error'), { message: '6 missions failed with error', details: { error: 'error' } })
  t.match(JSON.stringify(app.monitoring.alerts({ tenant: 'acme' })), /secret-id.*|.*secret-text/)
})

t.test('without the right to see alerts from before, a client does not get the history', async (t) => {
  for (const forbidden of ['subscribe', 'replay']) {
    const app = await boot(t, { access: { ...ACCESS, authorize: (_: unknown, { action }: { action: string }) => action !== forbidden } })
    const client = await as(app, { id: 'a' })
    client.send({ type: 'anomaly_history', id: 'h' })
    t.match(await client.next('protocol_error'), { replyTo: 'h', error: { code: 'forbidden' } })
  }
})

t.test('a rule of the host', async (t) => {
  const serveWith = async (t: Test, rule: Partial<HostAlertRule>, options: MissionControlOptions = {}) =>
    await serve(t, { alerts: { add: [{ rule: 'queue_depth', evaluate: () => {}, ...rule }] }, ...options })
  const failing = ({ monitoring }: Awaited<ReturnType<typeof serveWith>>['app']) => monitoring.alerts().filter(({ rule }) => rule === 'monitoring.evaluation_failed')
  const turn = async () => { for (let at = 0; at < 4; at++) await new Promise((resolve) => setImmediate(resolve)) }
  const advance = async (clock: { advance (ms: number): void }, ms: number) => {
    for (let at = 0; at < ms; at += 15_000) {
      clock.advance(15_000)
      await turn()
    }
  }

  t.test('fires above its limits, synchronous or not, for each of its labels', async (t) => {
    let depth = 5
    const evaluate: HostAlertRule['evaluate'] = ({ missions, health, now }) => [
      { message: `the queue has ${depth} jobs`, metric: 'depth', value: depth, warning: 3, critical: 8, labels: { queue: 'mail' }, details: { active: missions.active, status: health.status, now }, missionIds: ['m'] },
      { message: 'the other queue is empty', value: 0, info: 0, labels: { queue: 'other' } }
    ]
    for (const one of [evaluate, async (facts: Parameters<typeof evaluate>[0]) => await evaluate(facts)]) {
      depth = 5
      const { clock, client } = await serveWith(t, { evaluate: one, category: 'performance', forMs: 0, keepMs: 0, repeatMs: MINUTE })
      await advance(clock, 30_000)
      t.match(await alertsIn(client), [{
        rule: 'queue_depth', category: 'performance', severity: 'warning', value: 5, threshold: 3, labels: { queue: 'mail' }, message: 'the queue has 5 jobs', details: { active: 0 }, missionIds: ['m'], fingerprint: 'queue_depth{queue="mail"}'
      }])
      depth = 9
      await advance(clock, 30_000)
      t.match(await alertsIn(client), [{ severity: 'critical', value: 9 }])
      await advance(clock, MINUTE)
      t.match(await alertsIn(client), [{ reminder: true }])
      depth = 0
      await advance(clock, 30_000)
      t.match(await alertsIn(client), [{ state: 'resolved' }])
    }
  })

  t.test('that throws, rejects, hangs or returns garbage is caught and counted, and its alert stays', async (t) => {
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    const reading = { message: 'deep', value: 9, warning: 3 }
    const breaks: Array<() => unknown> = [
      () => { throw new Error('no') },
      async () => { throw new Error('no') },
      async () => await new Promise(() => {}),
      () => 'garbage', () => ({ ...reading, value: NaN }), () => ({ ...reading, value: '9' }), () => [{ ...reading, more: 1 }], () => ({ ...reading, details: circular }), () => ({ ...reading, details: new Date() }), () => ({ ...reading, details: { text: 'x'.repeat(5_000) } }), () => ({ ...reading, labels: { 'not a name': 'x' } })
    ]
    for (const broken of breaks) {
      let evaluate: () => unknown = () => reading
      const { clock, app, client } = await serveWith(t, { evaluate: () => evaluate() as never, forMs: 0, keepMs: 0 })
      await advance(clock, 30_000)
      t.match(await alertsIn(client), [{ rule: 'queue_depth', state: 'firing' }], String(broken))
      evaluate = broken
      await advance(clock, 3 * MINUTE)
      t.strictSame(app.monitoring.alerts().map(({ rule }) => rule), ['queue_depth', 'monitoring.evaluation_failed'], String(broken))
      t.match(failing(app), [{ labels: { of: 'queue_depth' }, severity: 'warning' }])
      t.match((await app.missionControl.metrics.render()).body, /callback_errors_total\{callback="alert_rule\.queue_depth"\} [1-9]/)
      t.match(await alertsIn(client), [{ rule: 'monitoring.evaluation_failed' }], 'the alert of the rule stays as it is')
    }
  })

  t.test('is not called again while it runs, and is not waited for when the service closes', async (t) => {
    let calls = 0
    const { clock, app } = await serveWith(t, { timeoutMs: 1_000, evaluate: async () => { calls++; await new Promise(() => {}) } })
    await advance(clock, 5 * MINUTE)
    t.equal(calls, 1)
    t.match(failing(app), [{}])
    await app.close()
  })

  t.test('may be a method of an object, which is not changed', async (t) => {
    class Depth implements HostAlertRule {
      readonly rule = 'queue_depth'
      readonly state = { calls: 0 }
      evaluate () { this.state.calls++ }
    }
    const rule = new Depth()
    const { clock } = await serve(t, { alerts: { add: [rule] } })
    await advance(clock, MINUTE)
    t.equal(rule.state.calls, 4)
    t.notOk(Object.isFrozen(rule))
  })

  t.test('with a wrong shape, or a name that is taken, keeps the service from starting', async (t) => {
    const evaluate = () => {}
    const cases: Array<[unknown, RegExp]> = [
      [[{ rule: 'mission_active', evaluate }], /alerts\.add\.0\.rule is "mission_active", which is taken/],
      [[{ rule: 'a', evaluate }, { rule: 'a', evaluate }], /alerts\.add\.1\.rule is "a", which is taken/],
      [[{ rule: 'not a name', evaluate }], /alerts\.add\.0 is not a rule: rule/],
      [[{ rule: 'a' }], /alerts\.add\.0\.evaluate must be a function/],
      [[{ rule: 'a', evaluate, forMs: -1 }], /alerts\.add\.0 is not a rule: forMs/],
      [[7], /alerts\.add\.0 is 7/],
      ['x', /alerts\.add is "x", but must be a list of up to 100 rules/]
    ]
    for (const [add, message] of cases) {
      const app = Fastify()
      await t.rejects(Promise.resolve(app.register(missionControl, { alerts: { add } } as MissionControlOptions)), { code: 'FST_MC_INVALID_OPTION', message })
      await app.close()
    }
  })
})

t.test('several processes', async (t) => {
  const alerts = { rules: { mission_active: { forMs: 0, keepMs: 0 } } }

  t.test('have one history, which outlives the process that has evaluated', async (t) => {
    const [one, two] = await startProcesses(t, 2, { channels: { anomalyAlertMs: 20 }, alerts, leaseMs: 300 })
    await until(() => two!.backplane.calls.filter((name) => name === 'renew').length > 1)
    const client = await (await connect(two!.app)).subscribe('anomaly_alert')
    for (let at = 0; at < 11; at++) two!.app.missions.start({ id: `m${at}`, name: 'import' })
    const { payload: { alertId } } = await client.next('anomaly_alert')
    two!.app.monitoring.silence('mission_active', Date.now() + 3_600_000, 'ann')
    t.match((await client.next('anomaly_alert', ({ payload }) => payload.silencedUntil !== undefined)).payload, { alertId })
    for (let at = 0; at < 11; at++) two!.app.missions.report(`m${at}`, 'completed')
    await client.next('anomaly_alert', ({ payload }) => payload.state === 'resolved')
    await until(() => two!.app.monitoring.alerts().length === 0)
    for (const { app } of [one!, two!]) t.match(await historyOf(await connect(app)), [{ alertId, state: 'resolved', peak: 11 }])
    one!.backplane.fault = 'silent'
    const late = await connect(two!.app)
    t.match(await historyOf(late), [{ alertId }])
  })

  t.test('share what fires, even if one joins later', async (t) => {
    const backplane = createMemoryBackplane()
    const one = await startProcess(t, backplane, { channels: { anomalyAlertMs: 20 }, alerts })
    const client = await (await connect(one.app)).subscribe('anomaly_alert')
    for (let at = 0; at < 11; at++) one.app.missions.start({ id: `m${at}`, name: 'import' })
    const { payload: { alertId } } = await client.next('anomaly_alert')
    const two = await startProcess(t, backplane, { channels: { anomalyAlertMs: 20 }, alerts })
    await until(() => two.app.monitoring.alerts().length === 1)
    t.equal(two.app.monitoring.alerts()[0]!.alertId, alertId)
  })

  t.test('share all alerts that fire, without their details if these are too long together, and the newest silences', async (t) => {
    const evaluate: HostAlertRule['evaluate'] = () =>
      Array.from({ length: 18 }, (_, at) => ({ message: 'a queue is long', value: 2, warning: 1, labels: { queue: `q${at}` }, details: { text: 'x'.repeat(4_000) } }))
    const backplane = createMemoryBackplane()
    const options = { channels: { anomalyAlertMs: 20 }, alerts: { add: [{ rule: 'queue_depth', evaluate, forMs: 0 }] } }
    const { app: one } = await startProcess(t, backplane, options)
    await until(() => one.monitoring.alerts().length === 18)
    const { app: two } = await startProcess(t, backplane, options)
    await until(() => two.monitoring.alerts().length === 18)
    t.match(two.monitoring.alerts()[17], { details: null, labels: { queue: 'q17' } })
    for (let at = 0; at < 200; at++) two.monitoring.silence(`other_${at}_${'x'.repeat(480)}`, Date.now() + 3_600_000, 'a'.repeat(128))
    two.monitoring.silence('queue_depth{queue="q17"}', Date.now() + 3_600_000, 'ann')
    await until(() => one.monitoring.alerts().find(({ labels }) => labels!['queue'] === 'q17')?.silencedUntil !== undefined)
  })

  t.test('share the newest part of a long history', async (t) => {
    let isFiring = true
    const evaluate: HostAlertRule['evaluate'] = () => isFiring
      ? Array.from({ length: 18 }, (_, at) => ({ message: 'a queue is long', value: 2, warning: 1, labels: { queue: `q${at}` }, details: { text: 'x'.repeat(4_000) } }))
      : []
    const backplane = createMemoryBackplane()
    const options = { channels: { anomalyAlertMs: 20 }, websocket: { maxMessagesPerSecond: 100_000 }, alerts: { add: [{ rule: 'queue_depth', evaluate, forMs: 0, keepMs: 0 }] } }
    const one = await startProcess(t, backplane, options)
    const client = await (await connect(one.app)).subscribe('anomaly_alert')
    await client.next('anomaly_alert', ({ payload }) => payload.rule === 'queue_depth')
    isFiring = false
    const resolvedIn = async (client: Client) => (await historyOf(client, 200)).filter(({ rule, state }) => rule === 'queue_depth' && state === 'resolved').length
    while (await resolvedIn(client) < 18);
    const two = await connect((await startProcess(t, backplane, options)).app)
    let shared = 0
    while (shared === 0) shared = await resolvedIn(two)
    t.ok(shared >= 10 && shared < 18, `${shared} of 18`)
  })
})
