import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Access } from '../access/access.js'
import { AccessCaller } from '../access/caller.js'
import type { HealthSnapshot } from '../../schemas/health.js'
import type { Clock } from '../base/clock.js'
import type { Hub } from '../hub/hub.js'
import type { MissionRegistry } from '../missions/index.js'
import type { Exposition } from '../prometheus/exposition.js'
import { mountAsyncApi } from './asyncapi.js'
import { mountDashboard } from './dashboard/route.js'
import { refuseTaken } from './duplicates.js'
import { isPublicHealth, mountHealth } from './health.js'
import { Identities } from './identify.js'
import { mountMissions } from './missions.js'
import { addressOf, isDashboardRoute, scopeFor } from './own-route.js'
import { hideQueryToken } from './query-token.js'
import { mountPrometheus } from './prometheus.js'
import { isOriginAllowed } from './websocket/origin.js'
import { guardRoutes } from './websocket/guard.js'
import { mountWebSocket, provideWebSocket } from './websocket/route.js'
import { mountWsMetrics } from './ws-metrics.js'

export interface RoutesDeps {
  access: Access
  options: ResolvedOptions
  clock: Clock
  missions: MissionRegistry
  /** The health of this process. */
  health: () => HealthSnapshot
  hub: Hub
  exposition: Exposition
}

type IdentifiedDeps = RoutesDeps & { identities: Identities }

/** Mounts every route that is not disabled. The host's `onRequest` hooks run before all of them. */
export async function mountRoutes (scope: FastifyInstance, deps: RoutesDeps): Promise<void> {
  const { access, hub, clock, options } = deps
  const identities = new Identities(access)
  refuseTaken(scope, options)
  if (options.access?.queryToken !== undefined) hideQueryToken(scope, options.access.queryToken)
  const { isHostServer } = await provideWebSocket(scope, options.websocket)
  const upgrades = guardRoutes(scope, { hub, clock, options: options.websocket })
  for (const hook of [options.onRequest ?? []].flat() as onRequestHookHandler[]) scope.addHook('onRequest', hook)
  // The page contains no missions. A browser cannot send the token with which it would be loaded.
  const isPublicPage = options.dashboard.getToken === undefined ? () => false : isDashboardRoute
  identities.guard(scope, (request) => isPublicHealth(request) || isPublicPage(request))
  mountWebSocket(scopeFor(scope, 'websocket', options), {
    hub, upgrades, isHostServer, identities, options: options.websocket
  })
  mountReadRoutes(scope, { ...deps, identities })
  const { missions, dashboard } = options.routes
  if (dashboard !== false) {
    mountDashboard(scopeFor(scope, 'dashboard', options), {
      url: dashboard,
      webSocketPath: options.websocket.path,
      options: options.dashboard,
      version: options.server.version
    })
  }
  if (missions !== false) await mountMissionRoutes(scope, missions, { ...deps, identities })
}

function mountReadRoutes (scope: FastifyInstance, deps: IdentifiedDeps): void {
  const { options, clock, hub, exposition, health, identities } = deps
  const onRequest = identities.require('metrics')
  const { routes, server, websocket } = options
  const startedAt = clock.monotonic()
  const wsMetrics = () => hub.wsMetrics()
  if (routes.wsMetrics !== false) {
    mountWsMetrics(scopeFor(scope, 'wsMetrics', options), { url: routes.wsMetrics, onRequest, wsMetrics, clock })
  }
  if (routes.asyncapi !== false) {
    const address = addressOf(scope, websocket.path)
    mountAsyncApi(scopeFor(scope, 'asyncapi', options), { url: routes.asyncapi, address, server })
  }
  if (routes.prometheus !== false) {
    const render = (accept?: string) => exposition.render(accept)
    mountPrometheus(scopeFor(scope, 'prometheus', options), { url: routes.prometheus, onRequest, render })
  }
  if (routes.health !== false) {
    mountHealth(scopeFor(scope, 'health', options), {
      url: routes.health,
      requireDetails: identities.require('health_details'),
      health,
      wsMetrics,
      server,
      uptimeMs: () => clock.monotonic() - startedAt,
      isClosing: () => hub.isClosing,
      retryAfterSeconds: Math.ceil(options.health.intervalMs / 1_000),
      clock
    })
  }
}

// These routes have a scope of their own, so that its hooks apply to no other route.
async function mountMissionRoutes (scope: FastifyInstance, url: string, deps: IdentifiedDeps): Promise<void> {
  const { access, identities, missions, options } = deps
  const { allowedOrigins } = options.websocket
  await scope.register(async (inner) => mountMissions(scopeFor(inner, 'missions', options), {
    url,
    isOriginAllowed: ({ headers: { origin }, host, protocol }) =>
      isOriginAllowed({ origin, host, protocol }, allowedOrigins),
    callerOf: (request) => new AccessCaller(access, identities.of(request), { request, connectionId: null }),
    list: (caller, query) => missions.queries.list(query, caller),
    view: (caller, id) => missions.queries.viewFor(caller, id),
    cancel: (id, caller) => missions.commands.cancel(id, caller)
  }))
}
