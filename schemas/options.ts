import { Type, type Static, type TSchema } from '@sinclair/typebox'
import type { ChannelName } from './channels/index.js'
import type { HealthReport } from './health.js'

/** A function of the host. Fastify's own hook type replaces this loose one in the plugin's public options. */
export type HostFunction = (...args: never[]) => unknown

/** What a client wants: to follow a channel from now on, or to have what it missed of it as well. */
export interface SubscriptionRequest { action: 'subscribe' | 'replay', channel: ChannelName }

/** Decides at once; `request` is the Fastify request that opened the connection. */
export type SubscriptionAuthorize = (request: never, asked: SubscriptionRequest) => boolean

/** The longest delay that Node's timers keep; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647

/** A value that JSON Schema cannot describe; the `host` keyword checks it and `expected` words the error. */
const host = <T>(kind: 'function' | 'functions' | 'object', expected: string, description: string) =>
  Type.Unsafe<T>({ host: kind, expected, description })

const milliseconds = (defaultMs: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: LONGEST_TIMER_MS, default: defaultMs, description })

const count = (options: { default: number, minimum: number, maximum: number, description: string }) => Type.Integer(options)

const group = <T extends Record<string, TSchema>>(properties: T) =>
  Type.Object(properties, { additionalProperties: false, default: {} })

const route = (path: string, description: string) =>
  Type.Union([Type.Literal(false), Type.String({ pattern: '^/[^?#\\s]*$', maxLength: 256 })], {
    default: path,
    description,
    expected: 'false, or a path that starts with /'
  })

const serializer = (what: string) =>
  host<(value: unknown) => unknown>('function', 'a function', `Turns ${what} into what viewers see; called once an event.`)

/** An origin as a browser writes it: scheme, host and, unless it is the default one, port. */
const Origin = Type.String({ pattern: '^[a-z][a-z0-9+.-]*://[^/?#@\\s,*]+$', maxLength: 256 })

/** Every option of the plugin, with its default, its bounds and what it is for. Sizes are bytes, times milliseconds. */
export const Options = Type.Object({
  prefix: Type.Optional(Type.String({ pattern: '^(/[^?#\\s]*)?$', maxLength: 256, description: 'Path put in front of every route of the plugin.' })),
  server: group({
    name: Type.String({ minLength: 1, maxLength: 128, default: 'mission-control', description: 'Name of the service, in every message and in the health answer.' }),
    version: Type.String({ minLength: 1, maxLength: 128, default: '0.0.0', description: 'Version of the service, beside its name.' })
  }),
  websocket: group({
    path: Type.String({ pattern: '^/[^?#\\s]*$', maxLength: 256, default: '/ws/mission-control', description: 'Path of the WebSocket route.' }),
    heartbeatMs: milliseconds(30_000, 'Time between two `heartbeat` messages.'),
    pingMs: milliseconds(25_000, 'Time between two pings of the protocol to one client.'),
    pongTimeoutMs: milliseconds(10_000, 'Time a client has to answer a ping before it is cut off.'),
    compression: Type.Boolean({ default: false, description: 'Negotiates permessage-deflate; a message is compressed once, whoever gets it. Messages under 1 KiB go plain.' }),
    maxPayloadBytes: count({ default: 16_384, minimum: 256, maximum: 16_777_216, description: 'Largest message a client may send; a larger one closes its connection with 1009.' }),
    allowedOrigins: Type.Union([Type.Literal('same-origin'), Type.Literal('*'), Type.Array(Origin, { maxItems: 256 })], {
      default: 'same-origin',
      description: 'Browser pages that may connect: those of the same host, all, or a list of exact origins.',
      expected: '"same-origin", "*" or a list of origins such as "https://ops.example.com", in lower case and without a path'
    }),
    maxConnections: count({ default: 10_000, minimum: 1, maximum: 1_000_000, description: 'Open connections; one more is refused with 503 before the upgrade.' }),
    maxConnectionsPerAddress: count({ default: 1_000_000, minimum: 1, maximum: 1_000_000, description: 'Open connections from one client address (`request.ip`); one more is refused with 429 before the upgrade.' }),
    maxConnectionsPerSecond: count({ default: 1_000, minimum: 1, maximum: 1_000_000, description: 'Upgrades accepted in a second, twice as many in a burst; more are refused with 503 and `Retry-After`.' }),
    maxLoopLagMs: count({ default: 1_000, minimum: 20, maximum: 60_000, description: 'Lateness of the event loop above which upgrades are refused with 503 and `Retry-After`.' }),
    maxMessagesPerSecond: count({ default: 50, minimum: 1, maximum: 100_000, description: 'Messages a client may send in a second, twice as many in a burst; above it its connection is closed with 1008.' }),
    maxBufferedBytes: count({ default: 1_048_576, minimum: 65_536, maximum: 268_435_456, description: 'Bytes of replies kept for a client that does not read; above it its connection is closed with 1013. Of states that replace each other as many are kept.' }),
    logMaxMessages: count({ default: 10_000, minimum: 1, maximum: 10_000_000, description: 'Recent messages that must arrive, kept for clients that fall behind.' }),
    logMaxBytes: count({ default: 16_777_216, minimum: 65_536, maximum: 1_073_741_824, description: 'Size of the same.' }),
    logMaxAgeMs: milliseconds(900_000, 'Age of the same; for as long a channel that was listened to is kept up for those who come back.'),
    maxEndings: count({ default: 10_000, minimum: 0, maximum: 10_000_000, description: 'Endings of missions kept for clients that come back later than the log reaches.' }),
    endingsMaxAgeMs: milliseconds(86_400_000, 'Age of the same.'),
    authorize: Type.Optional(host<SubscriptionAuthorize>('function', 'a function that returns true or false', 'Says whether a client may subscribe to a channel, and whether it may have what it missed of it; whatever but `true` is a no.'))
  }),
  channels: group({
    metricsTickMinMs: milliseconds(2_500, 'Least time between two `metrics_tick` messages.'),
    missionStatsMs: milliseconds(10_000, 'Time between two `mission_stats` messages.'),
    anomalyAlertMs: milliseconds(15_000, 'Time between two evaluations of the alert rules.')
  }),
  routes: group({
    wsMetrics: route('/mission-control/ws-metrics', 'JSON metrics of the WebSocket route; `false` leaves the route out.'),
    health: route('/health', 'Health and its probes; `false` leaves the route out.'),
    asyncapi: route('/mission-control/asyncapi.json', 'AsyncAPI document of the WebSocket route; `false` leaves the route out.'),
    prometheus: route('/api/v1/metrics/prometheus', 'Prometheus exposition; `false` leaves the route out.'),
    missions: Type.Union([Type.Literal(false), Type.String({ pattern: '^/[^?#\\s]*$', maxLength: 256 })], {
      default: false,
      description: 'Path of the HTTP routes that list, show and cancel missions, such as `/mission-control/missions`; off by default.',
      expected: 'false, or a path that starts with /'
    })
  }),
  health: group({
    provider: Type.Optional(host<() => HealthReport | Promise<HealthReport>>('function', 'a function that returns a health report', "Gives the host's own health report; called once a round.")),
    intervalMs: milliseconds(10_000, 'Time between two rounds of health checks.'),
    timeoutMs: milliseconds(5_000, 'Time one health check may take before it counts as failed.')
  }),
  monitoring: group({
    trackRequests: Type.Boolean({ default: false, description: 'Makes every request to a route of the host an operation metric.' })
  }),
  prometheus: group({
    registry: Type.Optional(host<object>('object', 'a prom-client Registry', 'A prom-client registry of the host. The plugin registers its metrics in it, and its Prometheus route shows all metrics of the registry; without it, the route shows only the metrics of the plugin.')),
    prefix: Type.String({ pattern: '^[a-zA-Z_:][a-zA-Z0-9_:]*$', maxLength: 64, default: 'mission_control_', description: 'Prefix of the names of all metrics except the seven `oneagent_mission_*` gauges.' })
  }),
  missions: group({
    maxActive: count({ default: 10_000, minimum: 1, maximum: 10_000_000, description: 'Missions that may be active at once; `start` refuses one more.' }),
    timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: LONGEST_TIMER_MS, description: 'Time after which a mission is asked to end, unless it says otherwise itself; off if absent.' })),
    cancelGraceMs: milliseconds(10_000, 'Time a mission has to end after a cancel was asked for; then it is forced to `cancelled`.'),
    closeGraceMs: milliseconds(5_000, 'The same while the service closes.'),
    stallMs: milliseconds(300_000, 'Time without any activity after which a mission counts as stalled.'),
    onStall: Type.Union([Type.Literal('flag'), Type.Literal('cancel'), Type.Literal('error')], {
      default: 'flag',
      description: 'What happens to a stalled mission: it is only flagged, asked to end, or ended as `error`.',
      expected: '"flag", "cancel" or "error"'
    }),
    endedRetentionMs: milliseconds(3_600_000, 'Time a completed or cancelled mission can still be looked up.'),
    maxEnded: count({ default: 1_000, minimum: 0, maximum: 10_000_000, description: 'Completed and cancelled missions that can still be looked up.' }),
    errorRetentionMs: milliseconds(86_400_000, 'Time a failed mission can still be looked up.'),
    maxErrors: count({ default: 1_000, minimum: 0, maximum: 10_000_000, description: 'Failed missions that can still be looked up.' }),
    maxTasks: count({ default: 200, minimum: 1, maximum: 100_000, description: 'Tasks kept of one mission; more are only counted.' }),
    maxProgressPerSecond: count({ default: 10, minimum: 1, maximum: 1_000, description: 'Progress messages of one mission in a second; the newest wins and the last one is never lost.' }),
    maxPlanBytes: count({ default: 32_768, minimum: 256, maximum: 16_777_216, description: 'Largest `planningSession` sent whole; a larger one is cut visibly.' }),
    maxTaskBytes: count({ default: 1_024, minimum: 64, maximum: 1_048_576, description: 'Largest entry of `tasksSummary` sent whole.' }),
    maxTasksInline: count({ default: 5, minimum: 1, maximum: 1_000, description: 'Entries of `tasksSummary` that are sent.' }),
    maxMetadataBytes: count({ default: 4_096, minimum: 64, maximum: 1_048_576, description: 'Largest `metadata` kept whole.' }),
    maxMessageBytes: count({ default: 65_536, minimum: 16_384, maximum: 16_777_216, description: 'Largest `mission_update`; the plan and then the tasks are cut to keep it.' }),
    serializers: group({
      planningSession: Type.Optional(serializer('the plan')),
      task: Type.Optional(serializer('one entry of `tasksSummary`')),
      error: Type.Optional(serializer('whatever was thrown')),
      objective: Type.Optional(serializer('the objective'))
    })
  }),
  onRequest: Type.Optional(host<HostFunction | HostFunction[]>('functions', 'a Fastify onRequest hook or a list of them', 'Hooks in front of every route of the plugin, the WebSocket upgrade too: the place to authenticate.')),
  clock: Type.Optional(host<object>('object', 'a clock, such as createVirtualClock() gives', 'The source of time; for tests and replays.'))
}, { additionalProperties: false })

/** What the host may pass: every option is optional. */
export type OptionsInput = DeepPartial<Static<typeof Options>>

/** Options after defaults were filled in. */
export type ResolvedOptions = Static<typeof Options>

// Functions and host objects are taken whole; only the groups become partial.
type DeepPartial<T> = T extends (...args: never[]) => unknown ? T
  : T extends readonly unknown[] ? T
    : T extends object ? { [K in keyof T]?: DeepPartial<T[K]> | undefined } : T

/** Environment variables that stand in for an option that the code does not give. */
export const ENVIRONMENT = {
  ONEAGENT_MISSION_STATS_INTERVAL_MS: ['channels', 'missionStatsMs'],
  ONEAGENT_ANOMALY_ALERT_INTERVAL_MS: ['channels', 'anomalyAlertMs'],
  ONEAGENT_METRICS_TICK_MIN_INTERVAL_MS: ['channels', 'metricsTickMinMs']
} as const
