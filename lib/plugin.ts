import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify'
import type { ChannelName, ChannelPayloads } from '../schemas/channels/index.js'
import type { WsMetrics } from '../schemas/metrics.js'
import type { OptionsInput, ResolvedOptions, SubscriptionRequest } from '../schemas/options.js'
import { CallbackErrors } from './base/callback-errors.js'
import { EndedMissions } from './missions/lifetime/ended-missions.js'
import { createChannels } from './channels/index.js'
import { createMissionFinder } from './missions/queries/lookup.js'
import { systemClock, type Clock } from './base/clock.js'
import { AlreadyRegistered } from './base/errors.js'
import { Exposition } from './prometheus/exposition.js'
import { checkDrainMs } from './hub/connections/drain.js'
import { Hub } from './hub/hub.js'
import { Missions } from './missions/index.js'
import { Alerts, evaluateRules, Monitoring } from './monitoring/index.js'
import { resolveOptions } from './base/options.js'
import { createPublisher } from './hub/host-publish.js'
import { mountAsyncApi } from './routes/asyncapi.js'
import { mountHealth } from './routes/health.js'
import { mountMissions } from './routes/missions.js'
import { isOriginAllowed } from './routes/websocket/origin.js'
import { markOwnRoutes } from './routes/own-route.js'
import { mountPrometheus } from './routes/prometheus.js'
import { trackRequests } from './routes/track-requests.js'
import { guardUpgrades, mountWebSocket, provideWebSocket } from './routes/websocket/route.js'
import { mountWsMetrics } from './routes/ws-metrics.js'

/** What `app.register(missionControl, options)` takes; every option is optional, the README has the table. */
export interface MissionControlOptions extends Omit<OptionsInput, 'prefix' | 'onRequest' | 'clock' | 'websocket'> {
  /** Path put in front of every route of the plugin. */
  prefix?: string
  websocket?: (Omit<NonNullable<OptionsInput['websocket']>, 'authorize'> & {
    /**
     * Says whether a client may subscribe to a channel, and whether it may have what it missed of it; decides at once, from what the host's hooks put
     * on the request that opened the connection. Whatever but `true` is a no.
     */
    authorize?: ((request: FastifyRequest, asked: SubscriptionRequest) => boolean) | undefined
  }) | undefined
  /** Hooks in front of every route of the plugin, the WebSocket upgrade too. */
  onRequest?: onRequestHookHandler | onRequestHookHandler[] | undefined
  /** The source of time; for tests and replays. */
  clock?: Clock | undefined
}

/** What the host gets as `app.missionControl`. */
export interface MissionControl {
  /** Counters of the WebSocket route, as `GET /mission-control/ws-metrics` shows them. */
  wsMetrics (): WsMetrics
  metrics: {
    /** The Prometheus exposition; `accept` is an HTTP Accept header and chooses text or OpenMetrics. */
    render (accept?: string): Promise<{ contentType: string, body: string }>
  }
  /**
   * Sends a payload of the host's own to all subscribers of a channel.
   *
   * @throws FST_MC_INVALID_PAYLOAD for an unknown channel or a payload that does not fit its schema
   */
  publish<Name extends ChannelName> (channel: Name, payload: ChannelPayloads[Name]): void
  /**
   * Sends all clients away before the service closes: refuses new ones, tells each when to come back, and closes them in waves over `withinMs`
   * (10 s). Resolves when all are gone. There is no way back.
   *
   * @throws FST_MC_INVALID_OPTION for a time that is not a whole number of ms up to an hour
   */
  drain (options?: { withinMs?: number }): Promise<void>
}

const DRAIN_MS = 10_000

interface Services {
  missions: Missions
  monitoring: Monitoring
  hub: Hub
  exposition: Exposition
}

/** The plugin: checks the options, builds the services, decorates the host, mounts the routes, and takes all of it down on close. */
export async function missionControl (app: FastifyInstance, input: MissionControlOptions): Promise<void> {
  if (app.hasDecorator('missionControl')) throw new AlreadyRegistered()
  const options = resolveOptions(input as OptionsInput, process.env)
  const clock = (options.clock as Clock | undefined) ?? systemClock
  const log = app.log.child({ plugin: 'fastify-mission-control' })
  const services = build(options, clock, log)
  const { missions, monitoring, hub, exposition } = services

  app.decorate('missions', missions)
  app.decorate('monitoring', monitoring)
  app.decorate('missionControl', {
    wsMetrics: () => hub.wsMetrics(),
    metrics: { render: (accept?: string) => exposition.render(accept) },
    publish: createPublisher(hub),
    drain: async ({ withinMs = DRAIN_MS }: { withinMs?: number } = {}) => hub.close(checkDrainMs(withinMs))
  } satisfies MissionControl)

  // Before @fastify/websocket is registered: hooks run in order, and its own would close clients without a code.
  app.addHook('preClose', async () => {
    hub.stopAdmitting()
    await missions.shutdown()
    await hub.close()
  })
  app.addHook('onReady', async () => {
    monitoring.start()
    hub.start()
  })
  app.addHook('onClose', async () => {
    missions.close()
    monitoring.close()
    exposition.close()
  })
  if (options.monitoring.trackRequests) trackRequests(app, monitoring)
  await app.register(async (scope) => mount(scope, options, clock, services), { prefix: options.prefix ?? '' })
}

function build (options: ResolvedOptions, clock: Clock, log: FastifyBaseLogger): Services {
  const callbackErrors = new CallbackErrors(log)
  const onCallbackError = callbackErrors.report
  const missions = new Missions({ clock, options: options.missions, onCallbackError, makeLog: (id) => log.child({ missionId: id }) })
  const monitoring = new Monitoring({ clock, health: options.health, log, onCallbackError })
  const alerts = new Alerts()
  const endings = new EndedMissions(clock, { maxEndings: options.websocket.maxEndings, maxAgeMs: options.websocket.endingsMaxAgeMs })
  const hub = new Hub({
    clock,
    server: options.server,
    options: options.websocket,
    channels: createChannels({
      clock,
      options: options.channels,
      missions,
      endings,
      monitoring,
      alerts: {
        evaluate: () => alerts.evaluate(evaluateRules({ totals: missions.stats(), health: monitoring.health() })),
        firing: () => alerts.firing()
      }
    }),
    commands: missions.commands,
    findMission: createMissionFinder({ missions, endings }),
    onCallbackError
  })
  const exposition = new Exposition({
    clock,
    prefix: options.prometheus.prefix,
    ...(options.prometheus.registry !== undefined && { registry: options.prometheus.registry }),
    // Counted by the exposition itself; here it is only kept from being logged at every scrape.
    onCollectorError: new CallbackErrors(log).report,
    sources: {
      missionTotals: () => missions.stats(),
      operations: () => monitoring.operations(),
      health: () => monitoring.health(),
      hub: () => hub.totals(),
      callbackErrors: () => callbackErrors.read()
    }
  })
  return { missions, monitoring, hub, exposition }
}

async function mount (scope: FastifyInstance, options: ResolvedOptions, clock: Clock, { missions, monitoring, hub, exposition }: Services): Promise<void> {
  const { routes, server } = options
  const onRequest = [options.onRequest ?? []].flat() as onRequestHookHandler[]
  const startedAt = clock.monotonic()
  const wsMetrics = () => hub.wsMetrics()
  const { isHostServer } = await provideWebSocket(scope, options.websocket)
  markOwnRoutes(scope)
  guardUpgrades(scope, hub, options.websocket)
  for (const hook of onRequest) scope.addHook('onRequest', hook)

  mountWebSocket(scope, { hub, isHostServer, options: options.websocket })
  if (routes.wsMetrics !== false) mountWsMetrics(scope, { url: routes.wsMetrics, wsMetrics, clock })
  if (routes.asyncapi !== false) mountAsyncApi(scope, { url: routes.asyncapi, address: scope.prefix + options.websocket.path, server })
  if (routes.prometheus !== false) mountPrometheus(scope, { url: routes.prometheus, render: (accept) => exposition.render(accept) })
  if (routes.missions !== false) {
    const url = routes.missions
    await scope.register(async (inner) => mountMissions(inner, {
      url,
      isOriginAllowed: ({ headers: { origin }, host, protocol }) => isOriginAllowed({ origin, host, protocol }, options.websocket.allowedOrigins),
      list: (query, isVisible) => missions.listVisible(query, isVisible),
      find: (id) => missions.get(id),
      isVisible: (mission, context) => missions.commands.isVisible(mission, context),
      cancel: (id, context) => missions.commands.cancel(id, context)
    }))
  }
  if (routes.health !== false) {
    mountHealth(scope, {
      url: routes.health,
      health: () => monitoring.health(),
      wsMetrics,
      server,
      uptimeMs: () => clock.monotonic() - startedAt,
      isClosing: () => hub.isClosing,
      clock
    })
  }
}
