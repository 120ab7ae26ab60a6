import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { gunzipSync } from 'node:zlib'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import {
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  openMetricsContentType,
  prometheusContentType,
  Registry,
  Summary,
  type OpenMetricsContentType,
  type RegistryContentType
} from 'prom-client'
import { test, type Test } from 'tap'
import type { TSchema } from '@sinclair/typebox'
import missionControl from '../lib/index.js'
import { createVirtualClock, type VirtualClock } from '../lib/base/virtual-clock.js'
import type { AlertTotals, OperationTotals } from '../lib/monitoring/index.js'
import { Exposition, type ExpositionDeps } from '../lib/prometheus/exposition.js'
import { COLLECTOR_TIMEOUT_MS } from '../lib/prometheus/host-registry/collector.js'
import { defineMetrics } from '../lib/prometheus/metric.js'
import { PluginMetric } from '../lib/prometheus/plugin-metric.js'
import type { ExpositionSources, HubTotals, MissionCounts, MissionMeasurements, MissionsByName } from '../lib/prometheus/sources.js'
import { mountHealth } from '../lib/routes/health.js'
import { mountPrometheus } from '../lib/routes/prometheus.js'
import { mountWsMetrics } from '../lib/routes/ws-metrics.js'
import { compile } from '../lib/base/validation.js'
import type { HealthComponent, HealthSnapshot } from '../schemas/health.js'
import { ErrorResponse, HealthResponse, ProbeResponse, WsMetricsResponse } from '../schemas/http.js'
import type { MissionTotals } from '../schemas/mission.js'
import { parseExposition, valueOf } from './support/exposition-parser.js'

const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0'
const PROMETHEUS_ACCEPT = 'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
const HOSTILE = 'a"b\nc}d\\e\u2028f{g="h"} 1\n# EOF\nforged 1'

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'

const component = (status: HealthComponent['status']): HealthComponent =>
  ({ status, critical: false, responseTimeMs: null, error: null, checkedAt: null })

const durations = (...buckets: [number, number, number]) => ({ boundsMs: [1_000, 60_000], buckets, sumMs: 90_000, examples: [] })

interface State {
  missions: MissionTotals
  operations: OperationTotals
  health: HealthSnapshot
  hub: HubTotals
  missionCounts: MissionCounts
  missionMeasures: MissionMeasurements
  missionsByName: MissionsByName
  alerts: AlertTotals
  callbackErrors: Record<string, number>
}

const createState = (): State => ({
  missions: { active: 3, completed: 6, cancelled: 2, errors: 2, total: 13, avgDurationMs: 12.5, stalled: 1, lateOutcomes: 4, refused: 8, untracked: 0 },
  operations: {
    boundsMs: [5, 1_000],
    series: [{ component: 'db', operation: 'GET:/users', success: 4, error: 1, durationCount: 4, durationSumMs: 3_010, buckets: [1, 1, 2], examples: [undefined, { traceId: TRACE_ID, ms: 10, at: 1_500 }] }]
  },
  health: { status: 'degraded', checkedAt: 5, components: { db: { ...component('unhealthy'), responseTimeMs: 250, checkedAt: 7_000 }, cache: component('degraded') } },
  hub: {
    metrics: { connectionsOpen: 1, connectionsTotal: 12, messagesSentTotal: 324, subscriptionsTotal: 57, channels: [{ channel: 'metrics_tick', count: 1 }] },
    messagesReceivedTotal: 60,
    bytesSentTotal: 4_096,
    replacedTotal: 7,
    droppedTotal: 8,
    outboxBytes: 9,
    lagging: 10,
    laggedTotal: 11,
    laggingMs: 12_000,
    drainMs: 1_300,
    eventLoopDelayMs: 14,
    pingRoundTrip: { boundsMs: [1, 2_500], buckets: [2, 3, 4], sumMs: 5_000 },
    fanOut: { boundsMs: [0.5], buckets: [1, 0], sumMs: 0.25 },
    logged: { bytes: 15, messages: 16 },
    outcomes: { fresh: 17, resumed: 18 },
    gaps: { trimmed: 5, overflow: 6 },
    refused: { origin: 2 },
    closed: { slow_consumer: 3 },
    protocolErrors: { invalid_json: 4 },
    subscribers: new Map([['metrics_tick', 1], ['mission_stats', 0]]),
    sent: [['mission_stats', { messages: 19, bytes: 20 }], ['none', { messages: 21, bytes: 22 }]],
    delays: { reliable: { boundsMs: [1], buckets: [3, 1], sumMs: 4 }, replaceable: { boundsMs: [1], buckets: [0, 0], sumMs: 0 } }
  },
  missionCounts: { untracked: { full: 2 }, cancelled: { request: 1, skipped: 3 }, cut: { name: 4 }, durationSumMs: 1_500 },
  missionMeasures: {
    started: 25,
    oldestActiveMs: 90_500,
    evicted: { age: 2, capacity: 3 },
    durations: { completed: durations(1, 4, 1), cancelled: durations(0, 2, 0), error: durations(2, 0, 0) }
  },
  missionsByName: [
    { name: 'a job', started: 5, finished: { completed: 2, cancelled: 1, error: 0 }, durations: durations(3, 0, 0) },
    { name: '_other', started: 6, finished: { completed: 0, cancelled: 0, error: 0 }, durations: durations(0, 0, 0) }
  ],
  alerts: {
    firing: [{ rule: 'mission_active', severity: 'warning', count: 1 }, { rule: 'mission_active', severity: 'critical', count: 0 }],
    transitions: [{ rule: 'mission_active', state: 'firing', count: 2 }, { rule: 'mission_active', state: 'resolved', count: 1 }]
  },
  callbackErrors: { onRequest: 5 }
})

interface Stand { exposition: Exposition, state: State, clock: VirtualClock, errors: [string, unknown][], sources: ExpositionSources }

function build (t: Test, options: Partial<ExpositionDeps> = {}): Stand {
  const state = createState()
  const clock = createVirtualClock()
  const errors: [string, unknown][] = []
  const sources: ExpositionSources = {
    missionTotals: () => state.missions,
    missionCounts: () => state.missionCounts,
    operations: () => state.operations,
    missionMeasures: () => state.missionMeasures,
    missionsByName: () => state.missionsByName,
    health: () => state.health,
    healthTransitions: () => [{ from: 'healthy', to: 'degraded', count: 1 }, { from: 'degraded', to: 'healthy', count: 0 }],
    alerts: () => state.alerts,
    build: () => ({ version: '1.2.3', protocolVersion: 1, serviceVersion: '4.5 beta' }),
    hub: () => state.hub,
    callbackErrors: () => state.callbackErrors
  }
  const exposition = new Exposition({
    sources,
    prefix: 'mission_control_',
    clock,
    onCollectorError: (metric, err) => errors.push([metric, err]),
    ...options
  })
  t.teardown(() => exposition.close())
  return { exposition, state, clock, errors, sources }
}

const readText = async ({ exposition }: Stand) => parseExposition((await exposition.render()).body, 'text')
const readOpenMetrics = async ({ exposition }: Stand) => parseExposition((await exposition.render(OPEN_METRICS)).body, 'openmetrics')

const addGauge = (registry: Registry, name: string) => new Gauge({ name, help: 'of the host', registers: [registry] })

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

test('the mission gauges', async (t) => {
  t.test('show the seven totals of the missions in both formats', async (t) => {
    const stand = build(t)
    for (const parsed of [await readText(stand), await readOpenMetrics(stand)]) {
      const gauges = [...parsed.values()].filter(({ name }) => name.startsWith('oneagent_'))
      t.strictSame(gauges.map(({ name, type, samples }) => [name, type, samples.map(({ name, value }) => [name, value])]), [
        ['oneagent_mission_active', 'gauge', [['oneagent_mission_active', 3]]],
        ['oneagent_mission_completed', 'gauge', [['oneagent_mission_completed', 6]]],
        ['oneagent_mission_cancelled', 'gauge', [['oneagent_mission_cancelled', 2]]],
        ['oneagent_mission_errors', 'gauge', [['oneagent_mission_errors', 2]]],
        ['oneagent_mission_total', 'gauge', [['oneagent_mission_total', 13]]],
        ['oneagent_mission_avg_duration_ms', 'gauge', [['oneagent_mission_avg_duration_ms', 12.5]]],
        ['oneagent_mission_error_rate', 'gauge', [['oneagent_mission_error_rate', 0.2]]]
      ])
    }
  })

  t.test('are 0 until the first mission ends', async (t) => {
    const stand = build(t)
    stand.state.missions = { active: 1, completed: 0, cancelled: 0, errors: 0, total: 1, avgDurationMs: null, stalled: 0, lateOutcomes: 0, refused: 0, untracked: 0 }
    const parsed = await readText(stand)
    t.equal(valueOf(parsed, 'oneagent_mission_avg_duration_ms'), 0)
    t.equal(valueOf(parsed, 'oneagent_mission_error_rate'), 0)
  })

  t.test('are read once per scrape, by the plugin or by the host, so that all values are of one moment', async (t) => {
    const registry = new Registry()
    let reads = 0
    const missionTotals = () => {
      reads++
      return { active: reads, completed: reads, cancelled: reads, errors: reads, total: 4 * reads, avgDurationMs: reads, stalled: 0, lateOutcomes: 0, refused: 0, untracked: 0 }
    }
    const sources = { ...build(t).sources, missionTotals }
    const stand = build(t, { registry, sources })
    const scrapes = [await readText(stand), parseExposition(await registry.metrics(), 'text'), await readOpenMetrics(stand)]
    t.equal(reads, 3, 'each scrape reads the totals once')
    scrapes.forEach((parsed, i) => {
      t.equal(valueOf(parsed, 'oneagent_mission_active'), i + 1)
      t.equal(valueOf(parsed, 'oneagent_mission_total'), 4 * (i + 1))
    })
  })
})

test('the metrics of the plugin', async (t) => {
  t.test('show operations, sockets, health and callbacks under the prefix', async (t) => {
    const stand = build(t, { prefix: 'mc_' })
    const expected: [string, Record<string, string>, number][] = [
      ['mc_missions_stalled', {}, 1],
      ['mc_missions_late_outcomes_total', {}, 4],
      ['mc_missions_refused_total', {}, 8],
      ['mc_missions_duration_seconds_total', {}, 1.5],
      ['mc_missions_untracked_total', { reason: 'full' }, 2],
      ['mc_missions_cancelled_total', { kind: 'request' }, 1],
      ['mc_missions_cancelled_total', { kind: 'skipped' }, 3],
      ['mc_missions_texts_cut_total', { field: 'name' }, 4],
      ['mc_operations_total', { component: 'db', operation: 'GET:/users', status: 'success' }, 4],
      ['mc_operations_total', { component: 'db', operation: 'GET:/users', status: 'error' }, 1],
      ['mc_ws_connections', {}, 1],
      ['mc_ws_connections_opened_total', {}, 12],
      ['mc_ws_messages_sent_total', {}, 324],
      ['mc_ws_messages_received_total', {}, 60],
      ['mc_ws_bytes_sent_total', {}, 4_096],
      ['mc_ws_messages_replaced_total', {}, 7],
      ['mc_ws_messages_dropped_total', {}, 8],
      ['mc_ws_outbox_bytes', {}, 9],
      ['mc_ws_lagging_connections', {}, 10],
      ['mc_ws_lagged_total', {}, 11],
      ['mc_ws_lagging_seconds_total', {}, 12],
      ['mc_ws_gaps_total', { cause: 'trimmed' }, 5],
      ['mc_ws_gaps_total', { cause: 'overflow' }, 6],
      ['mc_ws_subscription_outcomes_total', { outcome: 'fresh' }, 17],
      ['mc_ws_subscription_outcomes_total', { outcome: 'resumed' }, 18],
      ['mc_ws_log_messages', {}, 16],
      ['mc_ws_log_bytes', {}, 15],
      ['mc_ws_drain_seconds', {}, 1.3],
      ['mc_ws_event_loop_lag_seconds', {}, 0.014],
      ['mc_ws_subscriptions_total', {}, 57],
      ['mc_ws_subscribers', { channel: 'metrics_tick' }, 1],
      ['mc_ws_subscribers', { channel: 'mission_stats' }, 0],
      ['mc_ws_refused_total', { reason: 'origin' }, 2],
      ['mc_ws_closed_total', { reason: 'slow_consumer' }, 3],
      ['mc_ws_protocol_errors_total', { code: 'invalid_json' }, 4],
      ['mc_callback_errors_total', { callback: 'onRequest' }, 5],
      ['mc_health_status', { status: 'healthy' }, 0],
      ['mc_health_status', { status: 'degraded' }, 1],
      ['mc_health_status', { status: 'critical' }, 0],
      ['mc_health_status', { status: 'unknown' }, 0],
      ['mc_health_component_up', { component: 'db' }, 0],
      ['mc_health_component_up', { component: 'cache' }, 1],
      ['mc_health_component_status', { component: 'db', status: 'healthy' }, 0],
      ['mc_health_component_status', { component: 'db', status: 'degraded' }, 0],
      ['mc_health_component_status', { component: 'db', status: 'unhealthy' }, 1],
      ['mc_health_component_status', { component: 'cache', status: 'healthy' }, 0],
      ['mc_health_component_status', { component: 'cache', status: 'degraded' }, 1],
      ['mc_health_component_status', { component: 'cache', status: 'unhealthy' }, 0],
      ['mc_health_check_duration_seconds', { component: 'db' }, 0.25],
      ['mc_health_check_last_run_timestamp_seconds', { component: 'db' }, 7],
      ['mc_health_transitions_total', { from: 'healthy', to: 'degraded' }, 1],
      ['mc_health_transitions_total', { from: 'degraded', to: 'healthy' }, 0],
      ['mc_missions_started_total', {}, 25],
      ['mc_missions_finished_total', { outcome: 'completed' }, 6],
      ['mc_missions_finished_total', { outcome: 'cancelled' }, 2],
      ['mc_missions_finished_total', { outcome: 'error' }, 2],
      ['mc_mission_oldest_active_age_seconds', {}, 90.5],
      ['mc_missions_evicted_total', { reason: 'age' }, 2],
      ['mc_missions_evicted_total', { reason: 'capacity' }, 3],
      ['mc_named_missions_started_total', { name: 'a_job' }, 5],
      ['mc_named_missions_started_total', { name: '_other' }, 6],
      ['mc_named_missions_finished_total', { name: 'a_job', outcome: 'completed' }, 2],
      ['mc_named_missions_finished_total', { name: 'a_job', outcome: 'cancelled' }, 1],
      ['mc_named_missions_finished_total', { name: 'a_job', outcome: 'error' }, 0],
      ['mc_named_missions_finished_total', { name: '_other', outcome: 'completed' }, 0],
      ['mc_named_missions_finished_total', { name: '_other', outcome: 'cancelled' }, 0],
      ['mc_named_missions_finished_total', { name: '_other', outcome: 'error' }, 0],
      ['mc_ws_channel_messages_total', { channel: 'mission_stats' }, 19],
      ['mc_ws_channel_bytes_total', { channel: 'mission_stats' }, 20],
      ['mc_ws_channel_messages_total', { channel: 'none' }, 21],
      ['mc_ws_channel_bytes_total', { channel: 'none' }, 22],
      ['mc_alerts_firing', { rule: 'mission_active', severity: 'warning' }, 1],
      ['mc_alerts_firing', { rule: 'mission_active', severity: 'critical' }, 0],
      ['mc_alert_transitions_total', { rule: 'mission_active', state: 'firing' }, 2],
      ['mc_alert_transitions_total', { rule: 'mission_active', state: 'resolved' }, 1],
      ['mc_build_info', { version: '1.2.3', protocol_version: '1', service_version: '4.5_beta' }, 1],
      ['mc_scrape_duration_seconds', {}, 0],
      ['mc_scrape_collector_errors_total', {}, 0]
    ]
    const histograms: typeof expected = [
      ['mc_ws_ping_round_trip_seconds_bucket', { le: '0.001' }, 2],
      ['mc_ws_ping_round_trip_seconds_bucket', { le: '2.5' }, 5],
      ['mc_ws_ping_round_trip_seconds_bucket', { le: '+Inf' }, 9],
      ['mc_ws_ping_round_trip_seconds_sum', {}, 5],
      ['mc_ws_ping_round_trip_seconds_count', {}, 9],
      ['mc_ws_fan_out_seconds_bucket', { le: '0.0005' }, 1],
      ['mc_ws_fan_out_seconds_bucket', { le: '+Inf' }, 1],
      ['mc_ws_fan_out_seconds_sum', {}, 0.00025],
      ['mc_ws_fan_out_seconds_count', {}, 1],
      ['mc_ws_delivery_seconds_bucket', { class: 'reliable', le: '0.001' }, 3],
      ['mc_ws_delivery_seconds_count', { class: 'reliable' }, 4],
      ['mc_ws_delivery_seconds_count', { class: 'replaceable' }, 0],
      ['mc_mission_duration_seconds_bucket', { outcome: 'completed', le: '+Inf' }, 6],
      ['mc_mission_duration_seconds_sum', { outcome: 'error' }, 90],
      ['mc_named_mission_duration_seconds_count', { name: 'a_job' }, 3]
    ]
    for (const parsed of [await readText(stand), await readOpenMetrics(stand)]) {
      for (const [name, labels, value] of [...expected, ...histograms]) t.equal(valueOf(parsed, name, labels), value, `${name} ${JSON.stringify(labels)}`)
      const all = [...parsed.values()].filter(({ name, type }) => name.startsWith('mc_') && type !== 'histogram').flatMap(({ samples }) => samples)
      t.equal(all.length, expected.length, 'there are no other series')
    }
  })

  t.test('show durations as a cumulative histogram in seconds', async (t) => {
    const stand = build(t)
    const labels = { component: 'db', operation: 'GET:/users' }
    const name = 'mission_control_operation_duration_seconds'
    const text = await readText(stand)
    t.equal(text.get(name)?.type, 'histogram')
    t.equal(valueOf(text, `${name}_bucket`, { ...labels, le: '0.005' }), 1)
    t.equal(valueOf(text, `${name}_bucket`, { ...labels, le: '1' }), 2)
    t.equal(valueOf(text, `${name}_bucket`, { ...labels, le: '+Inf' }), 4)
    t.equal(valueOf(text, `${name}_sum`, labels), 3.01)
    t.equal(valueOf(text, `${name}_count`, labels), 4)
    t.equal(valueOf(await readOpenMetrics(stand), `${name}_bucket`, { ...labels, le: '1.0' }), 2, 'OpenMetrics writes 1.0')
  })

  t.test('never let a name of the host forge or break a line', async (t) => {
    const stand = build(t)
    const safe = 'a_b_c_d_e_f_g__h___1___EOF_forged_1'
    const [series] = stand.state.operations.series
    stand.state.operations = { boundsMs: [5, 1_000], series: [{ ...series!, component: HOSTILE, operation: '\u{1f600}'.repeat(200) }] }
    stand.state.health.components = { [HOSTILE]: component('healthy'), '': component('healthy') }
    stand.state.hub = { ...stand.state.hub, refused: { [HOSTILE]: 1 }, closed: { [HOSTILE]: 1 }, protocolErrors: { [HOSTILE]: 1 } }
    stand.state.callbackErrors = { [HOSTILE]: 1 }
    for (const parsed of [await readText(stand), await readOpenMetrics(stand)]) {
      t.equal(valueOf(parsed, 'mission_control_health_component_up', { component: safe }), 1)
      t.equal(valueOf(parsed, 'mission_control_health_component_up', { component: '_' }), 1)
      t.equal(valueOf(parsed, 'mission_control_ws_refused_total', { reason: safe }), 1)
      for (const { name, samples } of parsed.values()) {
        for (const { labels } of samples) t.ok(Object.values(labels).every((value) => /^[A-Za-z0-9_.:/+-]{1,64}$/.test(value)), name)
      }
    }
  })

  t.test('merge series whose names become equal as label values', async (t) => {
    const stand = build(t)
    const [series] = stand.state.operations.series
    stand.state.operations = { boundsMs: [5, 1_000], series: ['a b', 'a_b', 'a"b'].map((component) => ({ ...series!, component })) }
    stand.state.health.components = { 'a b': component('healthy'), a_b: component('unhealthy'), 'a"b': component('healthy') }
    stand.state.callbackErrors = { 'a b': 1, a_b: 2, other: 4 }
    const parsed = await readText(stand)
    const labels = { component: 'a_b', operation: 'GET:/users' }
    t.equal(valueOf(parsed, 'mission_control_operations_total', { ...labels, status: 'success' }), 12)
    t.equal(valueOf(parsed, 'mission_control_operation_duration_seconds_bucket', { ...labels, le: '1' }), 6)
    t.equal(valueOf(parsed, 'mission_control_operation_duration_seconds_sum', labels), 9.03)
    t.equal(valueOf(parsed, 'mission_control_health_component_up', { component: 'a_b' }), 0, 'an unhealthy component shows')
    t.equal(valueOf(parsed, 'mission_control_callback_errors_total', { callback: 'a_b' }), 3)
  })

  t.test('have no samples when their source fails, and all other metrics are shown, even when the host scrapes', async (t) => {
    const registry = new Registry()
    const failure = new Error('no hub')
    const sources = { ...build(t).sources, hub: () => { throw failure } }
    const stand = build(t, { registry, sources })
    const ours = await readText(stand)
    const hosts = parseExposition(await registry.metrics(), 'text')
    for (const parsed of [ours, hosts]) {
      t.equal(valueOf(parsed, 'oneagent_mission_active'), 3)
      t.strictSame(parsed.get('mission_control_ws_connections')?.samples, [])
    }
    t.equal(valueOf(ours, 'mission_control_scrape_collector_errors_total'), 27)
    t.strictSame(stand.errors[0], ['mission_control_ws_connections', failure])
  })
})

test('formats', async (t) => {
  t.test('do not influence each other: text after OpenMetrics equals the text before it, byte for byte', async (t) => {
    const registry = new Registry()
    new Counter({ name: 'host_jobs_total', help: 'jobs', registers: [registry] }).inc(3)
    const { exposition } = build(t, { registry })
    const before = await exposition.render()
    const between = await exposition.render(OPEN_METRICS)
    const after = await exposition.render()
    t.equal(after.body, before.body)
    t.equal((await exposition.render(OPEN_METRICS)).body, between.body)
    t.equal(before.contentType, prometheusContentType)
    t.equal(between.contentType, openMetricsContentType)
  })

  t.test('are chosen by the Accept header', async (t) => {
    const { exposition } = build(t)
    const isOpenMetrics = async (accept?: string) => (await exposition.render(accept)).contentType === openMetricsContentType
    for (const accept of [
      PROMETHEUS_ACCEPT,
      'application/openmetrics-text',
      'text/plain, application/openmetrics-text',
      'APPLICATION/OpenMetrics-Text; Version="1.0.0"; Q=1.0',
      'application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      'application/openmetrics-text;q=0.2, text/plain;q=0.1, */*',
      'text/*;q=0.1, */*;q=0.9, application/openmetrics-text;q=0.5',
      'text/plain;version=1.0.0, application/openmetrics-text;q=0.5',
      'text/html, application/openmetrics-text;q=0.1'
    ]) t.equal(await isOpenMetrics(accept), true, accept)
    for (const accept of [
      undefined,
      '',
      '*/*',
      'application/*',
      'text/plain',
      'text/plain;version=0.0.4;q=0.6, application/openmetrics-text;version=1.0.0;q=0.5',
      'application/openmetrics-text;q=0',
      'application/openmetrics-text;q=0.000, */*',
      'application/openmetrics-text;q=much',
      'application/openmetrics-text;version=2.0.0',
      'application/openmetrics-text;q=0.5, */*',
      ';;;,,,=;q'
    ]) t.equal(await isOpenMetrics(accept), false, accept ?? 'no header')
  })
})

test('a registry of the host', async (t) => {
  t.test('is shown by the plugin, and shows the metrics of the plugin, in any combination of formats', async (t) => {
    const registry = new Registry<RegistryContentType>()
    const counter = new Counter({ name: 'host_jobs_total', help: 'A "job"\nis \\ work', labelNames: ['kind'], registers: [registry] })
    counter.inc({ kind: HOSTILE }, 3)
    const histogram = new Histogram({ name: 'host_size_bytes', help: 'h', labelNames: ['kind'], buckets: [0.00001, 0.5, 1, 1_000_000, 2_500_000], registers: [registry] })
    histogram.observe({ kind: 'x' }, 0.7)
    const summary = new Summary({ name: 'host_wait_seconds', help: 's', percentiles: [0.5, 1], registers: [registry] })
    summary.observe(2)
    const stand = build(t, { registry })
    const labels = { kind: HOSTILE }

    t.equal(valueOf(await readText(stand), 'host_jobs_total', labels), 3)
    t.equal(valueOf(parseExposition(await registry.metrics(), 'text'), 'oneagent_mission_total'), 13)
    const open = await readOpenMetrics(stand)
    t.equal(valueOf(open, 'host_jobs_total', labels), 3)
    t.strictSame(open.get('host_size_bytes')?.samples.map(({ labels }) => labels['le']).slice(0, 6), ['1e-05', '0.5', '1.0', '1e+06', '2.5e+06', '+Inf'])
    t.equal(valueOf(open, 'host_wait_seconds', { quantile: '1.0' }), 2)
    t.equal(registry.contentType, prometheusContentType)

    registry.setContentType(openMetricsContentType)
    const body = await registry.metrics()
    t.match(body, /^# TYPE mission_control_ws_subscriptions counter$/m)
    t.match(body, /^mission_control_ws_subscriptions_total 57$/m)
    t.match(body, /^oneagent_mission_total 13$/m)
    t.equal(valueOf(await readText(stand), 'host_jobs_total', labels), 3, 'a scrape of the host that removed `_total` does not matter')
    t.equal(valueOf(await readText(stand), 'mission_control_ws_subscriptions_total'), 57)
    t.equal(registry.contentType, openMetricsContentType)
    t.equal(await registry.metrics(), body)
    registry.setContentType(prometheusContentType)
    t.match(await registry.metrics(), /^mission_control_ws_subscriptions_total 57$/m)
  })

  t.test('keeps its default labels on every line; a label of the metric itself wins', async (t) => {
    const registry = new Registry()
    registry.setDefaultLabels({ app: HOSTILE, kind: 'default' })
    new Gauge({ name: 'host_load', help: 'load', labelNames: ['kind'], registers: [registry] }).set({ kind: 'own' }, 1)
    const stand = build(t, { registry })
    await registry.getMetricsAsJSON()
    const parsed = await readText(stand)
    t.equal(valueOf(parsed, 'host_load', { app: HOSTILE, kind: 'own' }), 1)
    t.equal(valueOf(parsed, 'oneagent_mission_active', { app: HOSTILE, kind: 'default' }), 3)
  })

  t.test('loses a default label that would break every line', async (t) => {
    const registry = new Registry()
    registry.setDefaultLabels({ app: 'a', 'b="c"} 1\nforged{d': 'e', f: Object.create(null) })
    addGauge(registry, 'host_load')
    const stand = build(t, { registry })
    for (const parsed of [await readText(stand), await readOpenMetrics(stand)]) {
      t.equal(valueOf(parsed, 'host_load', { app: 'a' }), 0)
      t.equal(valueOf(parsed, 'oneagent_mission_active', { app: 'a' }), 3)
    }
    t.match(stand.errors, [['default label b="c"} 1\nforged{d', { code: 'FST_MC_INVALID_METRIC' }], ['default label f', TypeError]])
  })

  t.test('keeps its exemplars in OpenMetrics', async (t) => {
    const registry = new Registry<OpenMetricsContentType>()
    registry.setContentType(openMetricsContentType)
    const counter = new Counter({ name: 'host_jobs_total', help: 'jobs', registers: [registry], enableExemplars: true })
    counter.inc({ value: 2, labels: {}, exemplarLabels: { trace: 'a"b' } })
    const { exposition } = build(t, { registry })
    t.match((await exposition.render(OPEN_METRICS)).body, /^host_jobs_total 2 # \{trace="a\\"b"\} 2 [0-9.]+$/m)
    t.match((await exposition.render()).body, /^host_jobs_total 2$/m)
  })

  t.test('may be reset, and keeps the metrics of the host when the plugin closes', async (t) => {
    const registry = new Registry()
    const load = addGauge(registry, 'host_load')
    const { exposition } = build(t, { registry })
    registry.resetMetrics()
    t.equal(valueOf(parseExposition(await registry.metrics(), 'text'), 'oneagent_mission_active'), 3)
    registry.removeSingleMetric('oneagent_mission_active')
    const replacement = addGauge(registry, 'oneagent_mission_active')
    exposition.close()
    t.strictSame(registry.getMetricsAsArray(), [load, replacement])
    exposition.close()
    t.doesNotThrow(() => build(t, { registry: new Registry() }))
  })

  t.test('stays unchanged when it already has a metric with one of the names', async (t) => {
    const registry = new Registry()
    addGauge(registry, 'mission_control_ws_connections')
    t.throws(() => build(t, { registry }), { code: 'FST_MC_METRIC_NAME_TAKEN', message: /"mission_control_ws_connections"/ })
    t.equal(registry.getMetricsAsArray().length, 1)
  })

  t.test('must be a prom-client registry', async (t) => {
    t.throws(() => build(t, { registry: {} }), { code: 'FST_MC_INVALID_OPTION', message: /prometheus\.registry .* prom-client Registry/ })
  })
})

test('two apps in one process have metrics of their own', async (t) => {
  const one = build(t)
  const two = build(t)
  two.state.missions = { ...two.state.missions, active: 9 }
  one.exposition.close()
  t.equal(valueOf(await readText(two), 'oneagent_mission_active'), 9)
  t.equal(valueOf(await readText(one), 'oneagent_mission_active'), 3)
})

test('the host adds the metrics of the process with one line, in its own registry', async (t) => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(missionControl, { prometheus: { registry } })
  for (const [format, accept] of [['text', 'text/plain'], ['openmetrics', OPEN_METRICS]] as const) {
    const { body } = await app.inject({ url: '/api/v1/metrics/prometheus', headers: { accept } })
    const parsed = parseExposition(body, format)
    t.ok(valueOf(parsed, 'process_resident_memory_bytes') > 0)
    t.ok(valueOf(parsed, 'process_start_time_seconds') > 0)
    t.equal(parsed.get(format === 'text' ? 'process_cpu_seconds_total' : 'process_cpu_seconds')?.type, 'counter')
    t.equal(valueOf(parsed, 'oneagent_mission_active'), 0)
    t.equal(valueOf(parsed, 'mission_control_scrape_collector_errors_total'), 0)
  }
  t.equal(valueOf(parseExposition(await registry.metrics(), 'text'), 'oneagent_mission_active'), 0)
})

test('a scrape starts timers only for metrics of the host', async (t) => {
  const registry = new Registry()
  const stand = build(t, { registry })
  const timers = t.capture(stand.clock, 'after', stand.clock.after)
  await stand.exposition.render()
  t.equal(timers().length, 0)
  addGauge(registry, 'host_load')
  await stand.exposition.render()
  t.equal(timers().length, 1)
})

test('the text of a metric of the plugin is that of prom-client, byte for byte', async (t) => {
  const values = [0, -0, 1, 0.1 + 0.2, 1e21, 1e-7, 123_456_789_012, Infinity, -Infinity]
  const [definition] = defineMetrics('', () => values, [{
    name: 'odd_total',
    help: 'a \\ and\na line',
    type: 'counter',
    query: 'METRIC',
    read: (list) => list.map((value, i) => ({ labels: { i: `${i}`, text: HOSTILE }, value }))
  }])
  const metric = new PluginMetric(definition!, (_, err) => { throw err })
  for (const [format, contentType] of [['text', prometheusContentType], ['openmetrics', openMetricsContentType]] as const) {
    const registry = new Registry<RegistryContentType>()
    registry.setContentType(contentType)
    ;(registry as unknown as { registerMetric (metric: object): void }).registerMetric(metric)
    const body = await registry.metrics()
    t.equal(`${metric.render(format)}\n`, body.replace('# EOF\n', ''))
  }
  const render = (value: number) => new PluginMetric({ ...definition!, help: 'a "word"', read: () => [{ labels: {}, value }] }, () => {})
  t.equal(render(NaN).render('text'), '# HELP odd_total a "word"\n# TYPE odd_total counter\nodd_total NaN')
  t.equal(render(1).render('openmetrics'), '# HELP odd a \\"word\\"\n# TYPE odd counter\nodd_total 1')
})

test('a metric of the host', async (t) => {
  const hostMetric = (answer: unknown, name = 'host_metric') => ({ name, get: () => typeof answer === 'function' ? answer() : answer })
  const register = (registry: Registry, metric: object) => (registry as { registerMetric (metric: object): void }).registerMetric(metric)
  const line = (values: unknown) => ({ name: 'host_metric', help: 'help', type: 'gauge', values })

  const failures: [string, unknown][] = [
    ['throws', () => { throw new Error('no') }],
    ['rejects', () => Promise.reject(new Error('no'))],
    ['returns nothing', undefined],
    ['has no help', { name: 'host_metric', type: 'gauge', values: [] }],
    ['has no type', { name: 'host_metric', help: 'help', values: [] }],
    ['has an unknown type', { ...line([]), type: 'constructor' }],
    ['has values that are not an array', line('values')],
    ['has a value that is not an object', line([1])],
    ['has a value that is not a number', line([{ value: '1\nforged 1', labels: {} }])],
    ['has labels that are not an object', line([{ value: 1, labels: 'a' }])],
    ['has a label name that breaks the line', line([{ value: 1, labels: { 'a="b"} 1\nforged{c': 'd' } }])],
    ['has a label that cannot become a string', line([{ value: 1, labels: { a: Object.create(null) } }])],
    ['has a line of another metric', line([{ value: 1, labels: {}, metricName: 'oneagent_mission_active' }])],
    ['has an exemplar that is not an object', line([{ value: 1, labels: {}, exemplar: 1 }])],
    ['has an exemplar without numbers', line([{ value: 1, labels: {}, exemplar: { labelSet: {}, value: 1 } }])],
    ['has an exemplar without labels', line([{ value: 1, labels: {}, exemplar: { value: 1, timestamp: 1 } }])]
  ]
  for (const [title, answer] of failures) {
    t.test(`that ${title} is left out, and all others are shown`, async (t) => {
      const registry = new Registry()
      register(registry, hostMetric(answer))
      const stand = build(t, { registry })
      const parsed = await readOpenMetrics(stand)
      t.equal(parsed.has('host_metric'), false)
      t.equal(valueOf(parsed, 'oneagent_mission_active'), 3)
      t.equal(valueOf(parsed, 'mission_control_scrape_collector_errors_total'), 1)
      t.strictSame(stand.errors.map(([metric]) => metric), ['host_metric'])
    })
  }

  t.test('that has a name which would break a line is left out', async (t) => {
    const registry = new Registry()
    register(registry, hostMetric(line([]), 'host metric\nforged 1'))
    const stand = build(t, { registry })
    t.equal((await readText(stand)).size, 63)
    t.match(stand.errors, [['host metric\nforged 1', { code: 'FST_MC_INVALID_METRIC' }]])
  })

  t.test('is shown even if it returns no optional property', async (t) => {
    const registry = new Registry()
    register(registry, hostMetric({ name: 'host_metric', help: 'help', type: 'gauge', values: [{ value: 1 }] }))
    register(registry, hostMetric({ name: 'host_other', help: 'help', type: 'gauge' }, 'host_other'))
    const parsed = await readText(build(t, { registry }))
    t.equal(valueOf(parsed, 'host_metric'), 1)
    t.strictSame(parsed.get('host_other')?.samples, [])
  })

  t.test('that hangs delays one scrape by 2 s, and is shown again once it has returned', async (t) => {
    const registry = new Registry()
    let asked = 0
    let finish: (answer: unknown) => void = () => {}
    register(registry, hostMetric(() => {
      asked++
      return asked === 1 ? new Promise((resolve) => { finish = resolve }) : line([{ value: asked }])
    }))
    const stand = build(t, { registry })
    const [first, second] = [readText(stand), readText(stand)]
    await nextTurn()
    stand.clock.advance(COLLECTOR_TIMEOUT_MS - 1)
    t.equal(stand.errors.length, 0)
    stand.clock.advance(1)
    t.equal(valueOf(await first, 'oneagent_mission_active'), 3)
    await second
    t.equal(asked, 1, 'two scrapes share one call')
    t.equal((await readText(stand)).has('host_metric'), false, 'a later scrape does not wait')
    t.match(stand.errors, Array(3).fill(['host_metric', { code: 'FST_MC_COLLECTOR_TIMEOUT' }]))
    finish(line([]))
    await nextTurn()
    t.equal(valueOf(await readText(stand), 'host_metric'), 2)
    stand.clock.advance(COLLECTOR_TIMEOUT_MS)
    t.equal(valueOf(await readText(stand), 'host_metric'), 3, 'no timer outlives its scrape')
  })

  t.test('is left out where its names would clash with those of another metric', async (t) => {
    const registry = new Registry()
    const registers = [registry]
    new Counter({ name: 'host_jobs_total', help: 'jobs', registers }).inc()
    addGauge(registry, 'host_jobs')
    new Histogram({ name: 'host_wait', help: 'wait', registers }).observe(1)
    addGauge(registry, 'host_wait_count')
    addGauge(registry, 'host_done_total')
    new Counter({ name: 'host_done', help: 'done', registers }).inc()
    const stand = build(t, { registry })
    const text = await readText(stand)
    t.strictSame(['host_jobs_total', 'host_jobs', 'host_wait', 'host_wait_count'].map((name) => text.has(name)), [true, true, true, false])
    const open = await readOpenMetrics(stand)
    t.equal(open.get('host_jobs')?.type, 'counter')
    t.equal(open.has('host_wait_count'), false)
    t.strictSame([text.has('host_done'), text.has('host_done_total'), open.has('host_done'), open.has('host_done_total')], [true, true, false, true])
    t.match(stand.errors[0], ['host_wait_count', { code: 'FST_MC_METRIC_NAME_CLASH' }])
    t.equal(valueOf(text, 'mission_control_scrape_collector_errors_total'), 1, 'the response body counts its own clashes')
  })
})

const promtool = (args: string[], input = '') => spawnSync('promtool', args, { input, encoding: 'utf8' })

test('promtool complains only about names that the protocol prescribes', { skip: promtool(['--version']).error !== undefined && 'promtool is not on PATH' }, async (t) => {
  const { exposition } = build(t)
  const { stdout, stderr } = promtool(['check', 'metrics'], (await exposition.render()).body)
  const complaints = (stdout + stderr).split('\n').filter((line) => line !== '')
  t.strictSame(complaints.filter((line) => !/^oneagent_mission_(total|avg_duration_ms) /.test(line)), [])
})

interface Host { app: FastifyInstance, stand: Stand, closing: { now: boolean } }

async function boot (t: Test, options: FastifyServerOptions = {}, prepare: (app: FastifyInstance) => unknown = () => {}): Promise<Host> {
  const app = Fastify(options)
  t.teardown(() => app.close())
  await prepare(app)
  const stand = build(t)
  const closing = { now: false }
  await app.register(async (scope) => {
    const { clock, exposition, state } = stand
    const wsMetrics = () => state.hub.metrics
    const onRequest = async () => undefined
    mountPrometheus(scope, { url: '/metrics', onRequest, render: (accept) => exposition.render(accept) })
    mountWsMetrics(scope, { url: '/ws-metrics', onRequest, wsMetrics, clock })
    mountHealth(scope, {
      url: '/health',
      requireDetails: onRequest,
      health: () => state.health,
      wsMetrics,
      server: { name: 'svc', version: '1.2.3' },
      uptimeMs: () => clock.monotonic() + 0.75,
      retryAfterSeconds: 10,
      isClosing: () => closing.now,
      clock
    })
  })
  return { app, stand, closing }
}

function conforms (t: Test, schema: TSchema, body: unknown): void {
  const validate = compile(schema)
  t.ok(validate(body), JSON.stringify(validate.errors))
}

test('GET of the Prometheus route', async (t) => {
  t.test('responds in the format of the Accept header and forbids caching', async (t) => {
    const { app, stand } = await boot(t)
    const text = await app.inject('/metrics')
    t.equal(text.statusCode, 200)
    t.equal(text.headers['content-type'], prometheusContentType)
    t.equal(text.headers['cache-control'], 'no-store')
    t.equal(text.headers.vary, 'accept, accept-encoding')
    t.equal(text.body, (await stand.exposition.render()).body)
    const open = await app.inject({ url: '/metrics', headers: { accept: PROMETHEUS_ACCEPT } })
    t.equal(open.headers['content-type'], openMetricsContentType)
    t.equal(valueOf(parseExposition(open.body, 'openmetrics'), 'oneagent_mission_total'), 13)
    const head = await app.inject({ method: 'HEAD', url: '/metrics' })
    t.equal(head.statusCode, 200)
    t.equal(head.body, '')
  })

  t.test('compresses the response body if Accept-Encoding asks for it', async (t) => {
    const { app } = await boot(t)
    const { body } = await app.inject('/metrics')
    for (const encoding of ['gzip', 'deflate, GZIP;q=0.8', 'x-gzip', '*', 'gzip, identity;q=0.5']) {
      const packed = await app.inject({ url: '/metrics', headers: { 'accept-encoding': encoding } })
      t.equal(packed.headers['content-encoding'], 'gzip', encoding)
      t.equal(gunzipSync(packed.rawPayload).toString(), body)
    }
    for (const encoding of ['', 'identity', 'br', 'gzip;q=0', 'gzip;q=0, *', '*;q=0', 'gzip;q=0.5, identity']) {
      const plain = await app.inject({ url: '/metrics', headers: { 'accept-encoding': encoding } })
      t.equal(plain.headers['content-encoding'], undefined, encoding)
      t.equal(plain.body, body)
    }
  })
})

test('GET of the WebSocket metrics', async (t) => {
  const { app, stand } = await boot(t)
  stand.clock.stepWallClock(1_758_544_496_789)
  const response = await app.inject('/ws-metrics')
  t.equal(response.statusCode, 200)
  t.equal(response.headers['cache-control'], 'no-store')
  t.match(response.headers['content-type'], /^application\/json/)
  conforms(t, WsMetricsResponse, response.json())
  t.strictSame(response.json(), {
    timestamp: '2025-09-22T12:34:56.789Z',
    metrics: { connectionsOpen: 1, connectionsTotal: 12, messagesSentTotal: 324, subscriptionsTotal: 57, channels: [{ channel: 'metrics_tick', count: 1 }] }
  })
})

test('GET of the health route', async (t) => {
  const summary = { status: 'degraded', timestamp: '1970-01-01T00:00:01.500Z', server: 'svc', version: '1.2.3', uptimeMs: 1_500 }

  t.test('responds with a summary', async (t) => {
    const { app, stand } = await boot(t)
    stand.clock.advance(1_500)
    for (const url of ['/health', '/health?details=false', '/health?details=yes', '/health?details=', '/health?other=1&__proto__=2']) {
      const response = await app.inject(url)
      t.equal(response.statusCode, 200, url)
      t.equal(response.headers['cache-control'], 'no-store')
      t.strictSame(response.json(), summary)
      conforms(t, HealthResponse, response.json())
    }
    t.equal((await app.inject({ method: 'HEAD', url: '/health' })).statusCode, 200)
  })

  t.test('responds with all details on ?details=true, in upper or lower case', async (t) => {
    const { app, stand } = await boot(t)
    stand.clock.advance(1_500)
    stand.state.health.components = {
      db: { status: 'unhealthy', critical: true, responseTimeMs: 1.5, error: 'check_timeout', checkedAt: 5 },
      'a\nb': component('healthy')
    }
    for (const url of ['/health?details=true', '/health?details=TRUE']) {
      const response = await app.inject(url)
      t.strictSame(response.json(), { ...summary, health: stand.state.health, metrics: { ws: stand.state.hub.metrics } })
      conforms(t, HealthResponse, response.json())
    }
    stand.state.health = { status: 'unknown', checkedAt: null, components: {} }
    const response = await app.inject('/health?details=true')
    t.strictSame(response.json().health, { status: 'unknown', checkedAt: null, components: {} })
    conforms(t, HealthResponse, response.json())
  })

  t.test('responds with 503 only while health is critical', async (t) => {
    const { app, stand } = await boot(t)
    for (const [status, statusCode] of [['healthy', 200], ['degraded', 200], ['unknown', 200], ['critical', 503]] as const) {
      stand.state.health = { ...stand.state.health, status }
      for (const url of ['/health', '/health?details=true']) {
        const response = await app.inject(url)
        t.equal(response.statusCode, statusCode, `${status} ${url}`)
        t.equal(response.json().status, status)
        conforms(t, HealthResponse, response.json())
      }
    }
  })

  t.test('answers probes: always live, and ready while health is known and not critical', async (t) => {
    const { app, stand } = await boot(t)
    for (const [status, statusCode] of [['healthy', 200], ['degraded', 200], ['unknown', 503], ['critical', 503]] as const) {
      stand.state.health = { ...stand.state.health, status }
      const ready = await app.inject('/health?probe=ready&details=true')
      t.equal(ready.statusCode, statusCode, status)
      t.strictSame(ready.json(), { status: statusCode === 200 ? 'ok' : 'unavailable' })
      conforms(t, ProbeResponse, ready.json())
      const live = await app.inject('/health?probe=live')
      t.equal(live.statusCode, 200)
      t.strictSame(live.json(), { status: 'ok' })
      conforms(t, ProbeResponse, live.json())
    }
  })

  t.test('answers the startup probe once the first round of checks has ended, whatever its result', async (t) => {
    const { app, stand } = await boot(t)
    for (const [status, checkedAt, statusCode] of [['unknown', null, 503], ['degraded', null, 503], ['critical', 5, 200]] as const) {
      stand.state.health = { ...stand.state.health, status, checkedAt }
      const response = await app.inject('/health?probe=startup')
      t.equal(response.statusCode, statusCode, status)
      conforms(t, ProbeResponse, response.json())
    }
  })

  t.test('says with 503 when to ask again', async (t) => {
    const { app, stand } = await boot(t)
    const header = async (url: string) => (await app.inject(url)).headers['retry-after']
    for (const url of ['/health', '/health?details=true', '/health?probe=ready']) t.equal(await header(url), undefined)
    stand.state.health = { ...stand.state.health, status: 'critical', checkedAt: null }
    for (const url of ['/health', '/health?details=true', '/health?probe=ready', '/health?probe=startup']) t.equal(await header(url), '10', url)
    t.equal(await header('/health?probe=live'), undefined)
  })

  t.test('rejects an invalid query and does not repeat it in the response', async (t) => {
    const { app } = await boot(t)
    for (const query of ['probe=canary', 'probe=', 'probe=live&probe=canary', 'details=true&details=canary', `details=${'canary'.repeat(9)}`]) {
      const response = await app.inject(`/health?${query}`)
      t.equal(response.statusCode, 400, query)
      t.notMatch(response.body, /canary/)
      conforms(t, ErrorResponse, response.json())
    }
  })

  t.test('reports not ready during shutdown', async (t) => {
    for (const return503OnClosing of [true, false]) {
      const { app, closing } = await boot(t, { return503OnClosing })
      let goOn = () => {}
      const closingBegan = new Promise<void>((resolve) => {
        app.addHook('preClose', (done) => {
          closing.now = true
          goOn = done
          resolve()
        })
      })
      const { port } = new URL(await app.listen({ port: 0 }))
      t.match(await get(Number(port), '/health?probe=ready'), /^HTTP\/1\.1 200 /)
      const closed = app.close()
      await closingBegan
      t.match(await get(Number(port), '/health?probe=ready'), /^HTTP\/1\.1 503 /)
      if (!return503OnClosing) {
        t.match(await get(Number(port), '/health?probe=ready'), /\{"status":"unavailable"\}$/)
        t.match(await get(Number(port), '/health?probe=live'), /^HTTP\/1\.1 200 [^]*\{"status":"ok"\}$/)
      }
      goOn()
      await closed
    }
  })
})

async function get (port: number, url: string): Promise<string> {
  const socket = connect(port)
  socket.end(`GET ${url} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
  let answer = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => { answer += chunk })
  await once(socket, 'close')
  return answer
}

test('the routes work in an app with a validator and a serializer of its own', async (t) => {
  const { app } = await boot(t, {}, (app) => {
    app.setValidatorCompiler(() => { throw new Error('not a schema of the host') })
    app.setSerializerCompiler(() => { throw new Error('not a schema of the host') })
  })
  t.equal((await app.inject('/health?details=true')).json().health.status, 'degraded')
  t.equal((await app.inject('/health?probe=canary')).statusCode, 400)
  t.equal((await app.inject('/ws-metrics')).json().metrics.connectionsTotal, 12)
})

test('the strict parser of these tests rejects', async (t) => {
  const head = '# HELP a help\n# TYPE a'
  const bucket = (le: string, value: number) => `a_bucket{le="${le}"} ${value}\n`
  const tail = 'a_sum 1\na_count 2\n'
  const bad: [string, 'text' | 'openmetrics', string][] = [
    ['a repeated series', 'text', `${head} gauge\na{b="1",c="2"} 1\na{c="2",b="1"} 1\n`],
    ['a quote that is not escaped', 'text', `${head} gauge\na{b="1"2"} 1\n`],
    ['an unknown escape sequence', 'text', `${head} gauge\na{b="\\x"} 1\n`],
    ['a repeated label', 'text', `${head} gauge\na{b="1",b="2"} 1\n`],
    ['a trailing comma in labels', 'text', `${head} gauge\na{b="1",} 1\n`],
    ['a TYPE after samples', 'text', '# HELP a help\na 1\n# TYPE a gauge\n'],
    ['a second TYPE', 'text', `${head} gauge\n# TYPE a gauge\n`],
    ['a second HELP', 'text', `${head} gauge\n# HELP a help\n`],
    ['a family without a TYPE', 'text', '# HELP a help\n'],
    ['a TYPE without its HELP', 'text', '# TYPE a gauge\n'],
    ['an unknown type', 'text', `${head} thing\n`],
    ['a broken HELP', 'text', '# HELP 1 help\n'],
    ['a comment', 'text', '# forged\n'],
    ['a sample of another family', 'text', `${head} gauge\nb 1\n`],
    ['a line that is not a sample', 'text', `${head} gauge\na one\n`],
    ['a negative counter', 'text', `${head} counter\na -1\n`],
    ['a last line without a line break', 'text', `${head} gauge`],
    ['a carriage return', 'text', `${head} gauge\r\n`],
    ['a name that two families use', 'text', `${head} histogram\n${bucket('+Inf', 2)}${tail}# HELP a_sum help\n# TYPE a_sum gauge\n`],
    ['buckets that are not cumulative', 'text', `${head} histogram\n${bucket('1', 3)}${bucket('+Inf', 2)}${tail}`],
    ['buckets out of order', 'text', `${head} histogram\n${bucket('2', 1)}${bucket('1', 1)}${bucket('+Inf', 2)}${tail}`],
    ['a histogram without +Inf', 'text', `${head} histogram\n${bucket('1', 2)}${tail}`],
    ['a histogram without a sum', 'text', `${head} histogram\n${bucket('+Inf', 2)}a_count 2\n`],
    ['a count that differs from the +Inf bucket', 'text', `${head} histogram\n${bucket('+Inf', 3)}${tail}`],
    ['a bound without a decimal point', 'openmetrics', `${head} histogram\n${bucket('1', 2)}${bucket('+Inf', 2)}${tail}# EOF\n`],
    ['a missing EOF', 'openmetrics', `${head} gauge\na 1\n`],
    ['a line after EOF', 'openmetrics', `${head} gauge\n# EOF\na 1\n`],
    ['an empty line', 'openmetrics', `${head} gauge\n\n# EOF\n`],
    ['a counter without _total', 'openmetrics', `${head} counter\na 1\n# EOF\n`],
    ['a counter family with _total', 'openmetrics', '# HELP a_total help\n# TYPE a_total counter\n# EOF\n'],
    ['a quote in HELP', 'openmetrics', '# HELP a "help"\n# TYPE a gauge\n# EOF\n']
  ]
  for (const [title, format, body] of bad) t.throws(() => parseExposition(body, format), title)
  t.throws(() => valueOf(new Map(), 'a'), 'a missing series')
  t.equal(valueOf(parseExposition(`${head} gauge\na{b="\\"\\\\\\n"} 1e+3\n`, 'text'), 'a', { b: '"\\\n' }), 1_000)
})
