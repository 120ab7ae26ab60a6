import { AsyncLocalStorage } from 'node:async_hooks'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import { context, ROOT_CONTEXT, trace, type Context, type ContextManager } from '@opentelemetry/api'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { createMemoryBackplane } from '../lib/backplane/index.js'
import { VERSION } from '../lib/prometheus/version.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import type { MissionControlOptions } from '../lib/index.js'
import { ALERT_RULES, SIGNAL_KINDS } from '../lib/monitoring/index.js'
import { describeSections } from '../lib/prometheus/metrics/plugin-metrics.js'
import { describeScrape } from '../lib/prometheus/metrics/process-metrics.js'
import type { ExpositionSources } from '../lib/prometheus/sources.js'
import { boot } from './support/app.js'
import { connect } from './support/client.js'
import { parseExposition, valueOf, type ParsedExposition } from './support/exposition-parser.js'
import { findPromtool, onlyWith } from './support/skip.js'

const START = Date.UTC(2026, 5, 1)
const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0'
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'

type App = Awaited<ReturnType<typeof boot>>

async function setup (t: Test, options: MissionControlOptions = {}) {
  const clock = createVirtualClock(START)
  // A long heartbeat interval: on a clock that jumps, no pong could arrive in time.
  const app = await boot(t, { clock, websocket: { heartbeatMs: 1_000_000_000 }, ...options })
  await app.ready()
  return { clock, app }
}

interface Positioned { id: string, position: { epoch: string, offset: number } }

const scrape = async (app: App): Promise<ParsedExposition> =>
  parseExposition((await app.inject('/api/v1/metrics/prometheus')).body, 'text')
const scrapeOpenMetrics = async (app: App): Promise<string> =>
  (await app.inject({ url: '/api/v1/metrics/prometheus', headers: { accept: OPEN_METRICS } })).body

/** One series for each rule, adaptive rules too, and each severity or state. */
const RULE_COUNT = ALERT_RULES.length + Object.keys(SIGNAL_KINDS).length
const ALERT_SERIES: Record<string, number> = { 'rules × severities': RULE_COUNT * 3, 'rules × states': RULE_COUNT * 2 }

/** All metrics with what the reference page says of them; no value is read. */
function referenceOf (prefix = 'mission_control_') {
  const sources = new Proxy({}, { get: () => () => undefined }) as ExpositionSources
  return [...describeSections(prefix, sources).flatMap(({ metrics }) => metrics), ...describeScrape(prefix, () => ({ durationMs: 0, errors: 0 }))]
}

t.test('a service that has done nothing shows every series whose labels are known, with 0', async (t) => {
  const { app } = await setup(t)
  const parsed = await scrape(app)
  const reference = referenceOf().filter(({ name }) => parsed.has(name))
  t.ok(reference.length > 50)
  for (const { name, type, labels = [], series = '1' } of reference) {
    const { samples } = parsed.get(name)!
    const shown = type === 'histogram' ? samples.filter((sample) => sample.name.endsWith('_count')) : samples
    const expected = /^\d+$/.test(series) ? Number(series) : ALERT_SERIES[series] ?? 0
    t.equal(shown.length, expected, `${name} has ${series} series`)
    t.ok(shown.every((sample) => Object.keys(sample.labels).sort().join() === [...labels].sort().join()), `${name} has the labels ${labels.join()}`)
    if (type !== 'gauge') t.ok(samples.every(({ value }) => value === 0), `${name} begins with 0`)
  }
})

t.test('the example of every metric is a valid query of it', onlyWith(findPromtool()), async (t) => {
  const rules = referenceOf().map(({ name, query }, at) => {
    t.match(query, /METRIC/, name)
    return { record: `example:${at}`, expr: query.replaceAll('METRIC', name) }
  })
  const folder = t.testdir({ 'rules.yml': JSON.stringify({ groups: [{ name: 'examples', rules }] }) })
  const { stdout, stderr, status } = spawnSync('promtool', ['check', 'rules', `${folder}/rules.yml`], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  t.match(stdout, `${rules.length} rules found`)
})

t.test('the version is that of the package', async (t) => {
  const { app } = await setup(t, { server: { version: '7.8.9-rc.1' } })
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  t.equal(VERSION, version)
  const labels = { version: version.replaceAll('+', '_'), protocol_version: '1', service_version: '7.8.9-rc.1' }
  t.equal(valueOf(await scrape(app), 'mission_control_build_info', labels), 1)
})

t.test('missions', async (t) => {
  t.test('are counted and measured when they start and end', async (t) => {
    const { clock, app } = await setup(t, { prometheus: { missionBucketsMs: [1_000, 5_000] } })
    const first = app.missions.start('first')
    clock.advance(500)
    const second = app.missions.start('second')
    clock.advance(500)
    const parsed = await scrape(app)
    t.equal(valueOf(parsed, 'mission_control_missions_started_total'), 2)
    t.equal(valueOf(parsed, 'mission_control_mission_oldest_active_age_seconds'), 1)
    first.complete()
    t.equal(valueOf(await scrape(app), 'mission_control_mission_oldest_active_age_seconds'), 0.5)
    clock.advance(2_000)
    second.fail(new Error('no'))
    second.retry().cancelled()
    const after = await scrape(app)
    t.equal(valueOf(after, 'mission_control_mission_oldest_active_age_seconds'), 0)
    t.equal(valueOf(after, 'mission_control_missions_started_total'), 3)
    for (const outcome of ['completed', 'cancelled', 'error']) t.equal(valueOf(after, 'mission_control_missions_finished_total', { outcome }), 1)
    const durations = (outcome: string) => ['1', '5', '+Inf'].map((le) => valueOf(after, 'mission_control_mission_duration_seconds_bucket', { outcome, le }))
    t.strictSame(durations('completed'), [1, 1, 1])
    t.strictSame(durations('error'), [0, 1, 1])
    t.equal(valueOf(after, 'mission_control_mission_duration_seconds_sum', { outcome: 'error' }), 2.5)
  })

  t.test('that can no longer be looked up are counted by the reason', async (t) => {
    const { clock, app } = await setup(t, { missions: { maxEnded: 2, endedRetentionMs: 60_000 } })
    for (let i = 0; i < 3; i++) app.missions.start(`job ${i}`).complete()
    const evicted = async () => await Promise.all(['capacity', 'age'].map(async (reason) => valueOf(await scrape(app), 'mission_control_missions_evicted_total', { reason })))
    t.strictSame(await evicted(), [1, 0])
    clock.advance(60_001)
    t.strictSame(await evicted(), [1, 2])
  })

  t.test('of several tenants that make room for each other are evicted by capacity', async (t) => {
    const { app } = await setup(t, { missions: { maxEnded: 20 } })
    app.missions.start({ name: 'small', tenant: 'b' }).complete()
    for (let i = 0; i < 20; i++) app.missions.start({ name: 'busy', tenant: 'a' }).complete()
    const parsed = await scrape(app)
    t.equal(valueOf(parsed, 'mission_control_missions_evicted_total', { reason: 'capacity' }), 2)
    t.equal(valueOf(parsed, 'mission_control_missions_evicted_total', { reason: 'age' }), 0)
  })

  t.test('have their name as a label only if it is listed', async (t) => {
    const { app } = await setup(t, { prometheus: { missionNames: ['nightly report', 'import'] } })
    app.missions.start('import').complete()
    app.missions.start('import')
    app.missions.start('user-4711').fail(new Error('no'))
    const parsed = await scrape(app)
    const started = parsed.get('mission_control_named_missions_started_total')!.samples.map(({ labels, value }) => [labels['name'], value])
    t.strictSame(started, [['nightly_report', 0], ['import', 2], ['_other', 1]])
    t.equal(valueOf(parsed, 'mission_control_named_missions_finished_total', { name: 'import', outcome: 'completed' }), 1)
    t.equal(valueOf(parsed, 'mission_control_named_missions_finished_total', { name: '_other', outcome: 'error' }), 1)
    t.equal(valueOf(parsed, 'mission_control_named_mission_duration_seconds_count', { name: 'import' }), 1)
    t.notMatch((await app.inject('/api/v1/metrics/prometheus')).body, '4711')
  })

  t.test('may be named like the other ones', async (t) => {
    const { app } = await setup(t, { prometheus: { missionNames: ['_other'] } })
    app.missions.start('_other')
    app.missions.start('job')
    const { samples } = (await scrape(app)).get('mission_control_named_missions_started_total')!
    t.match(samples, [{ labels: { name: '_other' }, value: 2 }])
  })
})

t.test('buckets', async (t) => {
  t.test('of operations are those of the option, in seconds', async (t) => {
    const { app } = await setup(t, { prometheus: { operationBucketsMs: [0.5, 800] } })
    app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success', durationMs: 800 })
    const { samples } = (await scrape(app)).get('mission_control_operation_duration_seconds')!
    const buckets = samples.filter(({ name }) => name.endsWith('_bucket')).map(({ labels, value }) => [labels['le'], value])
    t.strictSame(buckets, [['0.0005', 0], ['0.8', 1], ['+Inf', 1]])
    t.strictSame(app.monitoring.operations().boundsMs, [0.5, 800])
  })

  t.test('that do not ascend are refused', async (t) => {
    const refused = (operationBucketsMs: unknown) => boot(t, { prometheus: { operationBucketsMs } } as MissionControlOptions)
    for (const bounds of [[], [2, 1], [1, 1], [0, 1], [-1], ['1'], Array.from({ length: 65 }, (_, i) => i + 1), 5]) {
      await t.rejects(refused(bounds), { code: 'FST_MC_INVALID_OPTION', message: /prometheus\.operationBucketsMs/ }, JSON.stringify(bounds))
    }
  })
})

t.test('what connections are sent', async (t) => {
  t.test('is counted by channel, once per connection', async (t) => {
    const { app } = await setup(t)
    const clients = [await connect(app), await connect(app)]
    for (const client of clients) await client.subscribe('mission_update')
    app.missions.start({ id: 'job', name: 'job' })
    for (const client of clients) await client.next('mission_update')
    await clients[0]!.settle()
    const parsed = await scrape(app)
    const messages = (channel: string) => valueOf(parsed, 'mission_control_ws_channel_messages_total', { channel })
    t.equal(messages('mission_update'), 2)
    t.equal(messages('mission_stats'), 0)
    const received = clients.flatMap((client) => client.received)
    t.equal(messages('none'), received.filter(({ type }) => type !== 'mission_update').length)
    const { samples } = parsed.get('mission_control_ws_channel_messages_total')!
    t.equal(samples.reduce((sum, { value }) => sum + value, 0), valueOf(parsed, 'mission_control_ws_messages_sent_total'))
    const bytes = parsed.get('mission_control_ws_channel_bytes_total')!.samples.reduce((sum, { value }) => sum + value, 0)
    t.equal(bytes, valueOf(parsed, 'mission_control_ws_bytes_sent_total'))
  })

  t.test('is measured from the report to the socket, by class, without snapshots and replays', async (t) => {
    const { clock, app } = await setup(t)
    const client = await (await connect(app)).subscribe('mission_update')
    const read = async () => {
      const parsed = await scrape(app)
      return ['reliable', 'replaceable'].map((name) => ['_count', '_sum'].map((suffix) => valueOf(parsed, `mission_control_ws_delivery_seconds${suffix}`, { class: name })))
    }
    const mission = app.missions.start('job')
    clock.advance(40)
    await client.next('mission_update')
    t.strictSame(await read(), [[1, 0.04], [0, 0]])
    mission.progress(10)
    await client.next('mission_update')
    clock.advance(1_000)
    mission.progress(20)
    clock.advance(200)
    const { position } = await client.next('mission_update')
    t.equal(position, undefined)
    t.strictSame(await read(), [[2, 0.04], [1, 0.2]])
    const second = app.missions.start('job')
    const { id, position: { epoch, offset } } = (await client.next('mission_update', ({ payload }) => payload.missionId === second.id)) as Positioned
    second.complete()
    await client.next('mission_update', ({ payload }) => payload.status === 'completed')
    const before = await read()
    clock.advance(5_000)
    const late = await connect(app)
    late.send({ type: 'subscribe', channels: ['mission_update'], since: { mission_update: { epoch, offset, id } } })
    await late.next('mission_update', ({ payload }) => payload.status === 'completed')
    await (await connect(app)).subscribe('mission_update')
    t.strictSame(await read(), before)
  })
})

t.test('health', async (t) => {
  t.test('has its checks with duration and time, and counts its changes', async (t) => {
    const { clock, app } = await setup(t)
    let isBroken = true
    app.monitoring.addHealthCheck({ name: 'db', run: () => { if (isBroken) throw new Error('no') } })
    const round = async () => {
      clock.advance(10_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await round()
    await round()
    const parsed = await scrape(app)
    t.equal(valueOf(parsed, 'mission_control_health_check_duration_seconds', { component: 'db' }), 0)
    t.equal(valueOf(parsed, 'mission_control_health_check_last_run_timestamp_seconds', { component: 'db' }), clock.now() / 1_000)
    t.equal(valueOf(parsed, 'mission_control_health_component_status', { component: 'db', status: 'unhealthy' }), 1)
    const changes = async (from: string, to: string) => valueOf(await scrape(app), 'mission_control_health_transitions_total', { from, to })
    t.equal(await changes('healthy', 'degraded'), 1)
    isBroken = false
    for (let i = 0; i < 3; i++) await round()
    t.equal(await changes('degraded', 'healthy'), 1)
    app.monitoring.reportHealth('critical')
    app.monitoring.reportHealth('critical')
    t.equal(await changes('healthy', 'critical'), 1)
  })
})

t.test('a scrape shows how long the previous one took', async (t) => {
  const registry = new Registry()
  const { clock, app } = await setup(t, { prometheus: { registry } })
  const slow = { name: 'slow', help: 'h', type: 'gauge', get: async () => { clock.advance(250); return { name: 'slow', help: 'h', type: 'gauge', values: [] } } }
  registry.registerMetric(slow as never)
  t.equal(valueOf(await scrape(app), 'mission_control_scrape_duration_seconds'), 0)
  t.equal(valueOf(await scrape(app), 'mission_control_scrape_duration_seconds'), 0.25)
})

t.test('exemplars', async (t) => {
  const storage = new AsyncLocalStorage<Context>()
  const manager: ContextManager = {
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (active, fn, self, ...args) => storage.run(active, () => fn.call(self, ...args)),
    bind: (_, target) => target,
    enable: () => manager,
    disable: () => manager
  }
  t.beforeEach(() => { context.setGlobalContextManager(manager) })
  t.afterEach(() => { context.disable() })
  const inTrace = (run: () => unknown, traceId = TRACE_ID, traceFlags = 1) => {
    const span = trace.wrapSpanContext({ traceId, spanId: 'b7ad6b7169203331', traceFlags })
    context.with(trace.setSpan(ROOT_CONTEXT, span), run)
  }

  t.test('name the trace in which a duration was measured, in OpenMetrics alone', async (t) => {
    const registry = new Registry()
    const { clock, app } = await setup(t, { prometheus: { registry, operationBucketsMs: [10, 100], missionBucketsMs: [1_000] } })
    const mission = app.missions.start('job')
    app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success', durationMs: 5 })
    clock.advance(1_500)
    inTrace(() => {
      app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success', durationMs: 50 })
      app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success', durationMs: 60 })
      app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success' })
      mission.complete()
    })
    const body = await scrapeOpenMetrics(app)
    parseExposition(body, 'openmetrics')
    const at = (START + 1_500) / 1_000
    const lines = body.split('\n').filter((line) => line.includes(' # {'))
    t.strictSame(lines, [
      `mission_control_mission_duration_seconds_bucket{outcome="completed",le="+Inf"} 1 # {trace_id="${TRACE_ID}"} 1.5 ${at}`,
      `mission_control_operation_duration_seconds_bucket{component="db",operation="read",le="0.1"} 3 # {trace_id="${TRACE_ID}"} 0.06 ${at}`
    ])
    t.notMatch((await app.inject('/api/v1/metrics/prometheus')).body, TRACE_ID)
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never)
    const hosts = await registry.metrics()
    for (const line of lines) t.match(hosts, line, 'the host sees them in its own scrape')
  })

  t.test('are left out without a trace that is sampled and valid, and if tracing fails', async (t) => {
    const { app } = await setup(t)
    const track = () => app.monitoring.trackOperation({ component: 'db', operation: 'read', status: 'success', durationMs: 5 })
    track()
    inTrace(track, TRACE_ID, 0)
    inTrace(track, '0'.repeat(32))
    inTrace(track, `${TRACE_ID}"} 1`)
    inTrace(track, 5 as unknown as string)
    context.with(ROOT_CONTEXT, track)
    context.disable()
    track()
    context.setGlobalContextManager({ ...manager, active: () => { throw new Error('no context') } })
    track()
    t.notMatch(await scrapeOpenMetrics(app), ' # {')
    t.match(app.monitoring.operations().series, [{ success: 8 }])
  })

  t.test('of operations that share a label value are merged', async (t) => {
    const { app } = await setup(t)
    const track = (component: string, durationMs: number) =>
      app.monitoring.trackOperation({ component, operation: 'read', status: 'success', durationMs })
    track('a b', 5)
    inTrace(() => track('a_b', 5))
    t.match(await scrapeOpenMetrics(app), `trace_id="${TRACE_ID}"`)
  })
})

t.test('latency on the wire', async (t) => {
  const operation = { component: 'db', operation: 'read', status: 'success' } as const
  const ask = async (app: App, latency?: string[]) => {
    const client = await connect(app)
    client.send({ type: 'subscribe', channels: ['metrics_tick'], ...(latency && { latency }) })
    await client.next('subscription_ack')
    return client
  }
  const tick = async (client: Awaited<ReturnType<typeof ask>>) => (await client.next('metrics_tick')).payload

  t.test('has a histogram and the busiest operations only for subscribers that ask for them', async (t) => {
    const { app } = await setup(t)
    const clients = await Promise.all([undefined, ['histogram'], ['operations'], ['operations', 'histogram']].map(async (latency) => await ask(app, latency)))
    app.monitoring.trackOperation({ ...operation, durationMs: 8 })
    const fields = await Promise.all(clients.map(async (client) => Object.keys(await tick(client))))
    const plain = ['p50', 'p95', 'p99', 'count', 'windowMs', 'tISO']
    t.strictSame(fields, [plain, [...plain, 'histogram'], [...plain, 'operations'], [...plain, 'histogram', 'operations']])
  })

  t.test('may be asked for later, and no longer', async (t) => {
    const { clock, app } = await setup(t)
    const client = await ask(app)
    client.send({ type: 'subscribe', channels: ['metrics_tick'], latency: ['operations'] })
    await client.next('subscription_ack')
    app.monitoring.trackOperation({ ...operation, durationMs: 8 })
    t.match((await tick(client)).operations, [{ component: 'db', operation: 'read', count: 1 }])
    client.send({ type: 'subscribe', channels: ['metrics_tick'] })
    await client.next('subscription_ack')
    clock.advance(2_500)
    app.monitoring.trackOperation({ ...operation, durationMs: 8 })
    t.notOk('operations' in await tick(client))
  })

  t.test('that is asked for in a wrong way is refused', async (t) => {
    const { app } = await setup(t)
    const client = await connect(app)
    for (const wrong of [{ latency: [] }, { latency: ['p95'] }, { latency: ['histogram', 'operations', 'histogram'] }, { latency: 'histogram' }, { channels: ['mission_stats'], latency: ['histogram'] }]) {
      client.send({ type: 'subscribe', channels: ['metrics_tick'], ...wrong })
      t.match((await client.next('protocol_error')).error, { code: 'invalid_message' }, JSON.stringify(wrong))
    }
  })

  t.test('lets a client that has missed messages compute the percentiles of the time between with the functions of the page', async (t) => {
    const page = readFileSync('docs/protocol.md', 'utf8')
    const [, code] = /^```js\n(const lowerBound[^]*?)^```$/m.exec(page)!
    const percentile = runInNewContext(`${code} percentile`) as (buckets: Bucket[], percent: number) => number
    const { clock, app } = await setup(t)
    const client = await ask(app, ['histogram'])
    const track = (durationMs: number) => app.monitoring.trackOperation({ ...operation, durationMs })
    track(50_000)
    const before = (await tick(client)).histogram!
    const durations = Array.from({ length: 1_000 }, (_, i) => 1.01 ** i / 10)
    for (const durationMs of durations) {
      track(durationMs)
      clock.advance(700)
    }
    await client.settle()
    clock.advance(2_500)
    track(0)
    const after = (await tick(client)).histogram!
    t.equal(after.epoch, before.epoch)
    t.equal(after.count, 1_002)
    t.ok(Math.abs(after.sumMs - durations.reduce((sum, one) => sum + one, 50_000)) < 1e-3)
    const between = subtract(after.buckets, before.buckets)
    const exact = [0, ...durations]
    for (const percent of [1, 50, 95, 99, 100]) {
      const expected = exact[Math.ceil(percent * exact.length / 100) - 1]!
      t.ok(Math.abs(percentile(between, percent) - expected) <= expected / 64, `p${percent}`)
    }
    t.equal(percentile([[0, 1]], 50), 0)
    t.equal(percentile([], 50), 0)
  })

  t.test('covers all processes that share a backplane, and nothing twice', async (t) => {
    const backplane = createMemoryBackplane()
    const clock = createVirtualClock(START)
    const start = async () => {
      const app = await boot(t, { clock, backplane, websocket: { heartbeatMs: 1_000_000_000 } })
      await app.ready()
      return app
    }
    const [one, two] = [await start(), await start()]
    const later = async () => {
      clock.advance(2_500)
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
    }
    two.monitoring.trackOperation({ ...operation, durationMs: 1 })
    const client = await ask(one, ['histogram', 'operations'])
    const read = async () => {
      await client.settle()
      clock.advance(2_500)
      one.monitoring.trackOperation({ ...operation, durationMs: 100 })
      return await tick(client)
    }
    const first = await read()
    t.equal(first.histogram!.count, 1)
    for (let i = 0; i < 4; i++) await later()
    const before = await read()
    for (let i = 0; i < 3; i++) two.monitoring.trackOperation({ ...operation, operation: 'write', durationMs: 7 })
    for (let i = 0; i < 2; i++) await later()
    const after = await read()
    t.equal(after.histogram!.epoch, first.histogram!.epoch)
    const added = subtract(after.histogram!.buckets, before.histogram!.buckets)
    t.strictSame(added.map(([, count]) => count), [3, 1])
    t.match(after.operations, [{ operation: 'read' }, { operation: 'write', count: 3 }].sort((a, b) => a.operation < b.operation ? -1 : 1))
    await two.close()
    clock.advance(60_000)
    t.equal((await read()).histogram!.count, after.histogram!.count + 1, 'what a process has counted stays counted')
  })
})

type Bucket = [bucket: number, count: number]

function subtract (after: readonly Bucket[], before: readonly Bucket[]): Bucket[] {
  const earlier = new Map(before)
  return after.map(([bucket, count]): Bucket => [bucket, count - (earlier.get(bucket) ?? 0)]).filter(([, count]) => count > 0)
}
