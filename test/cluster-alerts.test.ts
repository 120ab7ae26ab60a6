import t, { type Test } from 'tap'
import type { MissionControlOptions } from '../lib/index.js'
import { createMemoryBackplane } from '../lib/backplane/index.js'
import type { Backplane } from '../lib/backplane/contract.js'
import { CallbackErrors } from '../lib/base/callback-errors.js'
import { resolveOptions } from '../lib/base/options.js'
import { createVirtualClock, type VirtualClock } from '../lib/base/virtual-clock.js'
import { SharedOperations } from '../lib/monitoring/index.js'
import { createCore, type Core, type CoreLog } from '../lib/core.js'
import { TenantAlerts } from '../lib/cluster/alerts/tenant-alerts.js'
import { RetainedState } from '../lib/cluster/alerts/retained-state.js'
import type { PendingStep } from '../lib/cluster/log/steps.js'
import type { PublicationStep } from '../lib/backplane/contract.js'
import { ScopeAlerts } from '../lib/monitoring/alerts/scope-alerts.js'
import type { AlertFacts } from '../lib/monitoring/index.js'
import type { Cursor, ServerMessages } from '../schemas/index.js'
import { connect, type Client } from './support/client.js'
import { startProcesses, until, type Process } from './support/cluster.js'
import { createFaultyBackplane, type FaultyBackplane } from './support/faulty-backplane.js'

const SILENT: CoreLog = { trace () {}, debug () {}, info () {}, warn () {}, error () {}, child: () => SILENT }

/** A process on a virtual clock. */
interface Member { core: Core, backplane: FaultyBackplane, name: string }

async function join (t: Test, shared: Backplane, clock: VirtualClock, given: Pick<MissionControlOptions, 'alerts' | 'channels'>): Promise<Member> {
  const backplane = createFaultyBackplane(shared)
  const options = { ...resolveOptions(given as never, {}), backplane }
  const core = createCore({
    options, clock, log: SILENT, access: { isRestricted: false, isNarrowed: false }, callbackErrors: new CallbackErrors(SILENT), defer: queueMicrotask
  })
  t.teardown(() => { core.alerts.close() })
  await core.cluster!.start(1_000)
  return { core, backplane, name: core.cluster!.membership.instance.id }
}

/** Lets time pass in steps of 2.5 s, and what follows from it happen. */
async function pass (clock: VirtualClock, ms: number, eachStep = () => {}): Promise<void> {
  for (let passed = 0; passed < ms; passed += 2_500) {
    eachStep()
    clock.advance(2_500)
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}

const firing = ({ core }: Member): string[] => core.alerts.of(undefined).firing().map(({ fingerprint }) => String(fingerprint))

const CALM: MissionControlOptions = { alerts: { rules: { event_loop_late: { forMs: 0, keepMs: 60_000 }, slow_consumers: { forMs: 0, keepMs: 60_000 } } } }

t.test('the rules about the process see all processes', async (t) => {
  const clock = createVirtualClock()
  const shared = createMemoryBackplane()
  const one = await join(t, shared, clock, CALM)
  let own = { eventLoopDelayMs: 300, slowConsumers: 0 }
  one.core.alerts.observe(() => own)
  await pass(clock, 15_000)
  t.strictSame(firing(one), ['event_loop_late'], 'a process alone has no label')
  own = { eventLoopDelayMs: 0, slowConsumers: 0 }
  await pass(clock, 90_000)
  t.strictSame(firing(one), [])

  const two = await join(t, shared, clock, CALM)
  const counters = { eventLoopDelayMs: 0, slowConsumers: 0 }
  two.core.alerts.observe(() => counters)
  const worker = await join(t, shared, clock, CALM)
  await pass(clock, 60_000)
  t.strictSame(firing(two), [])
  Object.assign(counters, { eventLoopDelayMs: 400, slowConsumers: 11 })
  await pass(clock, 60_000)
  const alerts = [`event_loop_late{instance="${two.name}"}`, `slow_consumers{instance="${two.name}"}`]
  for (const member of [one, two, worker]) t.strictSame(firing(member), alerts)

  t.comment('its reports get lost, and its lease is renewed')
  two.backplane.fault = 'refused'
  two.backplane.only = ['send']
  Object.assign(counters, { eventLoopDelayMs: 0 })
  await pass(clock, 600_000)
  t.strictSame(firing(one), alerts, 'missing data is not fine')
  two.backplane.fault = 'none'
  await pass(clock, 120_000)
  t.strictSame(firing(one), [alerts[1]])
  await pass(clock, 240_000)
  t.strictSame(firing(one), [], 'clients that were slow 15 minutes ago do not count')

  t.comment('it dies')
  Object.assign(counters, { eventLoopDelayMs: 1_500 })
  await pass(clock, 30_000)
  t.strictSame(firing(one), [alerts[0]])
  two.backplane.fault = 'silent'
  two.backplane.only = undefined
  await pass(clock, 120_000)
  t.strictSame(firing(one), [])
})

t.test('operations are those of all processes', async (t) => {
  const clock = createVirtualClock()
  const shared = createMemoryBackplane()
  const options: MissionControlOptions = {
    channels: { anomalyAlertMs: 60_000 },
    alerts: { rules: { metric_missing: { forMs: 0, keepMs: 0, minReports: 3, minMs: 100_000 }, metric_flat: { enabled: false } } }
  }
  const [one, two] = [await join(t, shared, clock, options), await join(t, shared, clock, options)]
  const track = ({ core: { monitoring } }: Member, component: string) => monitoring.trackOperation({ component, operation: 'read', status: 'success', durationMs: 10 })
  await pass(clock, 600_000, () => {
    track(one, 'db')
    track(two, 'disk')
    track(two, 'db')
  })
  const counts = Object.fromEntries(one.core.cluster!.reports.operationCounters().map(({ component, success }) => [component, success]))
  t.ok(counts['db']! >= 475 && counts['db']! <= 480, `db ${counts['db']}`)
  t.strictSame(firing(one), [])
  const [adaptive] = one.core.cluster!.reports.operationLatencies()
  t.ok(adaptive!.count > 30, 'the last minute of both')

  t.comment('one operation stops, and then its process')
  await pass(clock, 240_000, () => track(one, 'db'))
  t.strictSame(firing(one), ['metric_missing{component="disk",operation="read"}'])
  two.backplane.fault = 'silent'
  await pass(clock, 1_800_000, () => track(one, 'db'))
  t.strictSame(firing(one), ['metric_missing{component="disk",operation="read"}'], 'the process that reported it is gone')
  await pass(clock, 1_830_000, () => track(one, 'db'))
  t.strictSame(firing(one), [], 'it is forgotten')
  t.strictSame(one.core.cluster!.reports.operationCounters().map(({ component }) => component), ['db'])
})

t.test('the number of operations of all processes is bounded, and further ones are counted together', async (t) => {
  const operations = new SharedOperations()
  const countersOf = (process: string, success: number) => Array.from({ length: 100 }, (_, at) =>
    ({ component: process, operation: `o${at}`, success, error: 0, durationCount: 0, durationSumMs: 0 }))
  for (const success of [1, 3]) {
    for (let process = 0; process < 6; process++) operations.update(`p${process}`, countersOf(`p${process}`, success), 0)
  }
  const read = operations.read(0)
  t.equal(read.length, 501)
  t.match(read[499], { component: 'p4', operation: 'o99', success: 2 })
  t.match(read[500], { component: 'other', operation: 'other', success: 200 })
})

type AlertMessage = ServerMessages['anomaly_alert']

const ACCESS = {
  identify: ({ headers }: { headers: Record<string, unknown> }) => headers['x-tenant'] === undefined ? { id: 'o' } : { id: 'u', tenant: String(headers['x-tenant']) }
}

/** A client of a tenant; without a tenant, an operator. */
async function as (process: Process, tenant?: string): Promise<Client> {
  return await connect(process.app, tenant === undefined ? {} : { headers: { 'x-tenant': tenant } })
}

async function subscribe (client: Client, last?: AlertMessage): Promise<ServerMessages['subscription_ack']> {
  const since: Cursor | undefined = last && { ...last.position!, id: last.id }
  client.send({ type: 'subscribe', channels: ['anomaly_alert'], ...since && { since: { anomaly_alert: since } } })
  return await client.next('subscription_ack')
}

const startServices = async (t: Test): Promise<[Process, Process]> => {
  const rules = { mission_active: { warning: 2, forMs: 0, keepMs: 0 } }
  const [one, two] = await startProcesses(t, 2, { access: ACCESS as never, channels: { anomalyAlertMs: 20 }, alerts: { rules }, leaseMs: 300 })
  await until(() => two!.backplane.calls.filter((name) => name === 'renew').length > 1)
  return [one!, two!]
}

t.test('one process evaluates the alerts of a tenant, and all its clients get each change once, with the same offsets', async (t) => {
  const [one, two] = await startServices(t)
  const clients = await Promise.all([one, two].map(async (process) => await as(process, 'acme')))
  for (const client of clients) await subscribe(client)
  const [globex, operator] = [await as(two, 'globex'), await as(two)]
  for (const client of [globex, operator]) await subscribe(client)
  for (let at = 0; at < 3; at++) (at % 2 === 0 ? one : two).app.missions.start({ id: `m${at}`, name: 'import', tenant: 'acme' })
  const fired = await Promise.all(clients.map(async (client) => await client.next('anomaly_alert')))
  t.match(fired[1]!, { payload: { rule: 'mission_active', labels: { tenant: 'acme' }, state: 'firing', value: 3 }, position: { offset: 1 } })
  t.strictSame([fired[0]!.id, fired[0]!.position], [fired[1]!.id, fired[1]!.position])
  t.match((await operator.next('anomaly_alert')).payload, { fingerprint: 'mission_active' })

  t.comment('a client that was away resumes in the other process')
  await clients[1]!.close()
  for (let at = 0; at < 3; at++) two.app.missions.report(`m${at}`, 'completed')
  const resolved = await clients[0]!.next('anomaly_alert')
  t.match(resolved, { payload: { state: 'resolved', alertId: fired[0]!.payload.alertId }, position: { offset: 2 } })
  await until(() => two.app.monitoring.alerts({ tenant: 'acme' }).length === 0)
  for (const process of [one, two]) {
    const again = await as(process, 'acme')
    t.match((await subscribe(again, fired[1])).payload, { outcome: 'resumed', messages: 1 })
    t.strictSame((await again.next('anomaly_alert')).id, resolved.id)
  }

  t.comment('the host publishes an alert for a tenant')
  const { reminder, ...payload } = fired[0]!.payload
  two.app.missionControl.publish('anomaly_alert', { ...payload, rule: 'host' }, { tenant: 'acme' })
  t.match(await clients[0]!.next('anomaly_alert'), { payload: { rule: 'host' }, position: { offset: 3 } })
  t.match((await operator.next('anomaly_alert', ({ payload }) => payload.rule === 'host')).payload, { rule: 'host' })
  t.strictSame((await globex.settle()).filter(({ type }) => type === 'anomaly_alert'), [])
  const tenants = (await operator.settle()).filter((message) => message.type === 'anomaly_alert' && message.payload.labels?.['tenant'] !== undefined)
  t.strictSame(tenants, [], 'operators do not get the alerts that were evaluated for a tenant')
})

t.test('a tenant whose alerts nobody has asked for before has none, and no history', async (t) => {
  const [, two] = await startServices(t)
  const client = await as(two, 'new')
  client.send({ type: 'anomaly_history', id: 'h' })
  t.strictSame((await client.next('anomaly_history')).payload.alerts, [])
  t.strictSame(two.app.monitoring.alerts({ tenant: 'other' }), [])
})

t.test('alerts of a tenant, with history and silences, survive the process that evaluates them', async (t) => {
  const [one, two] = await startServices(t)
  const client = await as(two, 'acme')
  await subscribe(client)
  const start = (id: string) => two.app.missions.start({ id, name: 'import', tenant: 'acme' })
  const missions = ['a', 'b', 'c'].map(start)
  const first = (await client.next('anomaly_alert')).payload
  for (const mission of missions) mission.complete()
  await client.next('anomaly_alert', ({ payload }) => payload.state === 'resolved')
  for (const id of ['d', 'e', 'f']) start(id)
  const { alertId, fingerprint } = (await client.next('anomaly_alert')).payload
  two.app.monitoring.silence(fingerprint!, Date.now() + 3_600_000, 'ann')
  await client.next('anomaly_alert', ({ payload }) => payload.silencedUntil !== undefined)
  one.backplane.fault = 'silent'
  await until(() => two.app.missions.list({ limit: 200 }).missions.every(({ instance }) => instance === two.app.missions.list().missions[0]!.instance))
  t.match(two.app.monitoring.alerts({ tenant: 'acme' }), [{ alertId, state: 'firing' }])
  for (let at = 0; at < 30; at++) start(`more${at}`)
  const worse = await client.next('anomaly_alert', ({ payload }) => payload.severity === 'critical')
  t.match(worse.payload, { alertId, silencedUntil: /T/ })
  client.send({ type: 'anomaly_history', id: 'h' })
  const { payload: { alerts } } = await client.next('anomaly_history')
  t.strictSame(alerts.map((alert) => [alert.alertId, alert.state]), [[alertId, 'firing'], [first.alertId, 'resolved']])
})

/** The alerts of tenants in one process that evaluates them, or follows. `texts` are its firing alerts. */
function createTenants (clock: VirtualClock, retained: Map<string, string>, texts: () => string[] = () => []) {
  const sent: string[][] = []
  const create = () => new ScopeAlerts({
    clock,
    repeatMs: 0,
    rules: [{
      rule: 'long',
      category: 'mission',
      isAboutMissions: true,
      options: { enabled: true, forMs: 0, keepMs: 0 },
      read: () => texts().map((text) => ({ labels: { text }, metric: null, value: 1, limits: { warning: 0 }, text: text.repeat(40) }))
    }],
    facts: () => ({}) as AlertFacts,
    onError: (_rule, err) => { throw err }
  })
  const tenants = new TenantAlerts({
    clock,
    state: new RetainedState({ retained }),
    create,
    subscribed: () => [],
    append (step: PendingStep) {
      const { retain } = step.build(true) as PublicationStep
      if (retain !== undefined) retained.set(retain.key, retain.value)
    },
    send: async (message) => { sent.push(message.tenants) }
  })
  return { tenants, sent }
}

t.test('at most 1,000 tenants are evaluated, and one that nobody has asked for in ten minutes makes room', async (t) => {
  const clock = createVirtualClock()
  const retained = new Map<string, string>()
  const { tenants } = createTenants(clock, retained)
  const count = () => [...retained.values()].flatMap((value) => JSON.parse(value) as unknown[]).length
  for (let at = 0; at < 1_100; at++) tenants.find(`tenant ${at}`)
  tenants.evaluate()
  t.equal(count(), 1_000)
  t.equal(retained.size, 32)
  tenants.asked(['late'])
  t.equal(tenants.find('late'), undefined)
  clock.advance(600_000)
  tenants.asked(['tenant 0'])
  tenants.evaluate()
  t.ok(tenants.find('late'))
  t.ok(tenants.find('tenant 0'))
  t.equal(tenants.find('tenant 1'), undefined)
  t.equal(count(), 1_000)
})

t.test('a process asks for its tenants until they are evaluated, and again while they are needed', async (t) => {
  const clock = createVirtualClock()
  const retained = new Map<string, string>()
  const leader = createTenants(clock, retained).tenants
  const { tenants, sent } = createTenants(clock, retained)
  for (let at = 0; at < 150; at++) tenants.find(`t${at}`)
  for (let tick = 0; tick < 3; tick++) tenants.follow()
  t.strictSame(sent.map(({ length }) => length), [100, 50])
  tenants.find('t0')
  tenants.follow()
  t.strictSame(sent.splice(0).at(-1), ['t0'], 'it is not evaluated yet')
  leader.asked(['t0', 't1'])
  t.ok(tenants.find('t0'))
  tenants.follow()
  t.strictSame(sent, [])
  clock.advance(300_000)
  tenants.find('t0')
  tenants.follow()
  tenants.find('t0')
  tenants.follow()
  t.strictSame(sent, [['t0']])

  retained.set([...retained].find(([, value]) => value.includes('"t0"'))![0], '{')
  t.equal(tenants.find('t0'), undefined, 'what is broken is asked for again')
})

t.test('what is retained of tenants is bounded, and each one keeps the same number of alerts', async (t) => {
  const clock = createVirtualClock()
  const retained = new Map<string, string>()
  const all = Array.from({ length: 40 }, (_, at) => `alert ${at}`)
  let texts = all
  const { tenants } = createTenants(clock, retained, () => texts)
  const names = Array.from({ length: 300 }, (_, at) => `tenant ${at}`)
  tenants.asked(names.slice(0, 100))
  tenants.asked(names.slice(100))
  for (let minute = 0; minute < 3; minute++) {
    tenants.evaluate()
    clock.advance(60_000)
  }
  texts = all.slice(0, 2)
  for (let minute = 0; minute < 4; minute++) {
    tenants.evaluate()
    clock.advance(60_000)
  }
  for (const value of retained.values()) {
    t.ok(value.length <= 60_000, `${value.length}`)
    const saved = JSON.parse(value) as Array<{ firing: unknown[], resolved: unknown[] }>
    t.strictSame([...new Set(saved.map(({ firing }) => firing.length))], [2])
    const counts = saved.map(({ resolved }) => resolved.length)
    t.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join())
  }
  const next = createTenants(clock, retained, () => texts).tenants
  t.equal(next.find('tenant 7')!.lifecycle.firing().length, 2)
})

t.test('a process that writes faster than the log answers does not go back to its own older state', async (t) => {
  const retained = new Map<string, string>()
  const state = new RetainedState({ retained })
  const isAny = (value: unknown): value is string[] => Array.isArray(value)
  const restored: string[][] = []
  const take = (value: string) => {
    retained.set('key', value)
    state.take('key', isAny, (saved) => { restored.push(saved) })
  }
  const [first, second] = [['a'], ['b']].map((saved) => state.keep('key', saved).value)
  take(first!)
  take(second!)
  t.strictSame(restored, [])
  take('["other"]')
  t.strictSame(restored, [['other']])
})
