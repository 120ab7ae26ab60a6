import { Type, type Static } from '@sinclair/typebox'
import type { HealthReport } from './health.js'
import { alerts } from './options/alerts.js'
import { dashboard } from './options/dashboard.js'
import { count, group, Host, hostValue, label, milliseconds, Origin, path, route } from './options/fields.js'
import { missions } from './options/missions.js'
import { prometheus } from './options/prometheus.js'

/** A function of the host. The plugin's public options type replaces this loose type with Fastify's own hook type. */
export type HostFunction = (...args: never[]) => unknown

/** The routes of the plugin, as the option `routes.config` names them. */
export type RouteName = 'websocket' | 'health' | 'prometheus' | 'wsMetrics' | 'asyncapi' | 'missions' | 'dashboard'

/**
 * What other plugins read from the `config` of a route, such as `rateLimit`. `logLevel` is also the log level of the
 * route; `tags` and `hide` are also those of its schema, for the OpenAPI document.
 */
export interface RouteConfig {
  logLevel?: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
  tags?: string[]
  hide?: boolean
  [name: string]: unknown
}

type RouteConfigOption = RouteConfig | ((route: RouteName) => RouteConfig)

type HealthProviderFunction = () => HealthReport | Promise<HealthReport>

const websocket = group({
  path: path({ default: '/ws/mission-control', description: 'Path of the WebSocket route.' }),
  heartbeatMs: milliseconds(30_000,
    'Interval between `heartbeat` messages. Clients are also pinged, at 5/6 of this interval.'),
  compression: Type.Boolean({
    default: false,
    description: 'Negotiates permessage-deflate. A message is compressed once for all its receivers; messages under ' +
      '1 KiB are sent uncompressed.'
  }),
  maxPayloadBytes: count({
    default: 16_384,
    minimum: 256,
    maximum: 16_777_216,
    description: 'Largest message a client may send. A larger one closes the connection with 1009.'
  }),
  allowedOrigins: Type.Union([Type.Literal('same-origin'), Type.Literal('*'), Type.Array(Origin, { maxItems: 256 })], {
    default: 'same-origin',
    description: 'Origins of the browser pages that may connect: those of the same host, all, or a list of ' +
      'origins. Case and default ports do not matter.',
    expected: '"same-origin", "*" or a list of origins such as "https://ops.example.com", without a path'
  }),
  allowedHosts: Type.Union([Type.Literal('loopback'), Type.Literal('*'), Type.Array(Host, { maxItems: 256 })], {
    default: 'loopback',
    description: 'Host names that requests may use. `loopback`: names of loopback if the service listens on it, ' +
      'otherwise all.',
    expected: '"loopback", "*" or a list of hosts such as "ops.example.com"'
  }),
  maxConnections: count({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    description: 'Maximum number of connections and waiting upgrades. Further upgrades are refused with 503.'
  }),
  maxConnectionsPerSecond: count({
    default: 1_000,
    minimum: 1,
    maximum: 1_000_000,
    description: 'Upgrades accepted per second, with bursts of twice as many. Further upgrades are refused with 503 ' +
      'and `Retry-After`.'
  }),
  maxMessagesPerSecond: count({
    default: 50,
    minimum: 1,
    maximum: 100_000,
    description: 'Messages one client may send per second, with bursts of twice as many. A client that exceeds this ' +
      'is disconnected with 1008.'
  }),
  history: group({
    maxMessages: count({
      default: 10_000,
      minimum: 1,
      maximum: 10_000_000,
      description: 'Number of reliable messages kept for slow and reconnecting clients, and number of ended ' +
        'missions kept for them.'
    }),
    maxBytes: count({
      default: 16_777_216,
      minimum: 65_536,
      maximum: 1_073_741_824,
      description: 'Total size of the reliable messages kept for slow and reconnecting clients.'
    }),
    maxAgeMs: milliseconds(900_000,
      'How long reliable messages are kept for slow and reconnecting clients. Ended missions are kept for them for ' +
        '24 hours, or for this time if it is longer.')
  })
})

/** The functions of `access`; the plugin's public options type has their types. */
const access = Type.Optional(Type.Object({
  identify: hostValue<HostFunction>('function', 'a function that returns a principal or null',
    'Returns the principal that sent a request or an upgrade, or `null` to answer with 401. May take up to 5 seconds ' +
      'if it is asynchronous.'),
  refresh: Type.Optional(hostValue<HostFunction>('function', 'a function that returns a principal or null',
    'Returns the principal of a new token that a client sent over its open connection. Without it, a connection is ' +
      'closed when its principal expires.')),
  queryToken: Type.Optional(Type.String({
    minLength: 1,
    maxLength: 64,
    description: 'Name of a query parameter in which `identify` accepts a token. Its value is removed from the URLs ' +
      'in the request log of the routes. By default, these URLs are logged unchanged.'
  })),
  authorize: Type.Optional(hostValue<HostFunction>('function', 'a function that returns true or false',
    'Returns whether a principal may do something within its tenant. It must be synchronous. Any result other than ' +
      '`true` denies access.'))
}, {
  additionalProperties: false,
  description: 'Identifies clients and limits what they may do. Without it, guard the routes with `onRequest`.'
}))

const routes = group({
  wsMetrics: route('/mission-control/ws-metrics', 'Path of the JSON metrics of the WebSocket route; `false` disables ' +
    'the route.'),
  health: route('/health', 'Path of the health route and its probes; `false` disables the route.'),
  asyncapi: route('/mission-control/asyncapi.json',
    'Path of the AsyncAPI document that describes the WebSocket route; `false` disables the route.'),
  prometheus: route('/api/v1/metrics/prometheus', 'Path of the Prometheus exposition; `false` disables the route.'),
  missions: route(false,
    'Path of the HTTP routes that list, show and cancel missions, such as `/mission-control/missions`; off by ' +
      'default.'),
  dashboard: route('/mission-control', 'Path of the page that shows the missions; `false` disables the route.'),
  config: Type.Optional(hostValue<RouteConfigOption>('config', 'an object, or a function that returns one',
    'Added to the `config` of the routes, for other plugins; a function receives the name of a route. `logLevel`, ' +
      '`tags` and `hide` also set the log level and the OpenAPI schema.'))
})

const health = group({
  provider: Type.Optional(hostValue<HealthProviderFunction>('function', 'a function that returns a health report',
    "Returns the host's own health report; called once per round of health checks.")),
  intervalMs: milliseconds(10_000, 'Interval between two rounds of health checks.')
})

/** Every option of the plugin with its default, bounds and purpose. Sizes are in bytes, times in milliseconds. */
export const Options = Type.Object({
  prefix: Type.Optional(Type.String({
    pattern: '^(/[^?#\\s]*)?$',
    maxLength: 256,
    description: 'Path prefix of every route of the plugin.'
  })),
  server: group({
    name: label('mission-control', 'Name of the service, sent in every message and in the health response.'),
    version: label('0.0.0', 'Version of the service, sent in every message and in the health response.')
  }),
  websocket,
  access,
  channels: group({
    metricsTickMinMs: milliseconds(2_500, 'Minimum time between two `metrics_tick` messages.'),
    missionStatsMs: milliseconds(10_000, 'Interval between `mission_stats` messages.'),
    anomalyAlertMs: milliseconds(15_000, 'Interval at which the alert rules are evaluated.')
  }),
  routes,
  health,
  monitoring: group({
    trackRequests: Type.Boolean({
      default: false,
      description: 'Records every request to a route of the host as an ' +
      'operation.'
    })
  }),
  prometheus,
  alerts,
  dashboard,
  missions,
  onRequest: Type.Optional(hostValue<HostFunction | HostFunction[]>('functions', 'a Fastify onRequest hook or a list ' +
    'of them',
  'Hooks that run before every route of the plugin, including the WebSocket upgrade: the place to authenticate.')),
  backplane: Type.Optional(hostValue<object>('backplane', 'a backplane, such as the one redisBackplane() returns',
    'Connects the processes of the service, so that all of them show the same missions. Without it, there is only ' +
      'this process.')),
  clock: Type.Optional(hostValue<object>('object', 'a clock, such as the one createVirtualClock() returns',
    'Source of time, for tests and replays.'))
}, { additionalProperties: false })

/** What the host may pass: every option is optional. */
export type OptionsInput = DeepPartial<Static<typeof Options>>

/** The options after defaults were filled in. */
export type ResolvedOptions = Static<typeof Options>

// Only the groups become partial; functions and host objects stay as they are.
type DeepPartial<T> = T extends (...args: never[]) => unknown ? T
  : T extends readonly unknown[] ? T
    : T extends object ? { [K in keyof T]?: DeepPartial<T[K]> | undefined } : T

/** Environment variables that set an option the code leaves out. */
export const ENVIRONMENT = {
  ONEAGENT_MISSION_STATS_INTERVAL_MS: ['channels', 'missionStatsMs'],
  ONEAGENT_ANOMALY_ALERT_INTERVAL_MS: ['channels', 'anomalyAlertMs'],
  ONEAGENT_METRICS_TICK_MIN_INTERVAL_MS: ['channels', 'metricsTickMinMs']
} as const
