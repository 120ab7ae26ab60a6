import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Clock } from '../base/clock.js'
import type { Hub } from '../hub/hub.js'
import type { MissionRegistry } from '../missions/index.js'
import type { Monitoring } from '../monitoring/index.js'
import type { Exposition } from '../prometheus/exposition.js'
import { mountAsyncApi } from './asyncapi.js'
import { refuseTaken } from './duplicates.js'
import { mountHealth } from './health.js'
import { mountMissions } from './missions.js'
import { addressOf, scopeFor } from './own-route.js'
import { mountPrometheus } from './prometheus.js'
import { isOriginAllowed } from './websocket/origin.js'
import { guardRoutes } from './websocket/guard.js'
import { mountWebSocket, provideWebSocket } from './websocket/route.js'
import { mountWsMetrics } from './ws-metrics.js'

export interface RoutesDeps {
  options: ResolvedOptions
  clock: Clock
  missions: MissionRegistry
  monitoring: Monitoring
  hub: Hub
  exposition: Exposition
}

/** Mounts every route that is not disabled. The host's `onRequest` hooks run before all of them. */
export async function mountRoutes (scope: FastifyInstance, deps: RoutesDeps): Promise<void> {
  const { hub, clock, options } = deps
  refuseTaken(scope, options)
  const { isHostServer } = await provideWebSocket(scope, options.websocket)
  const upgrades = guardRoutes(scope, { hub, clock, options: options.websocket })
  for (const hook of [options.onRequest ?? []].flat() as onRequestHookHandler[]) scope.addHook('onRequest', hook)
  mountWebSocket(scopeFor(scope, 'websocket', options), { hub, upgrades, isHostServer, options: options.websocket })
  mountReadRoutes(scope, deps)
  if (options.routes.missions !== false) await mountMissionRoutes(scope, options.routes.missions, deps)
}

function mountReadRoutes (scope: FastifyInstance, { options, clock, hub, exposition, monitoring }: RoutesDeps): void {
  const { routes, server, websocket } = options
  const startedAt = clock.monotonic()
  const wsMetrics = () => hub.wsMetrics()
  if (routes.wsMetrics !== false) {
    mountWsMetrics(scopeFor(scope, 'wsMetrics', options), { url: routes.wsMetrics, wsMetrics, clock })
  }
  if (routes.asyncapi !== false) {
    const address = addressOf(scope, websocket.path)
    mountAsyncApi(scopeFor(scope, 'asyncapi', options), { url: routes.asyncapi, address, server })
  }
  if (routes.prometheus !== false) {
    const render = (accept?: string) => exposition.render(accept)
    mountPrometheus(scopeFor(scope, 'prometheus', options), { url: routes.prometheus, render })
  }
  if (routes.health !== false) {
    mountHealth(scopeFor(scope, 'health', options), {
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

// These routes have a scope of their own, so that its hooks apply to no other route.
async function mountMissionRoutes (scope: FastifyInstance, url: string, deps: RoutesDeps): Promise<void> {
  const { missions, options: { websocket: { allowedOrigins } } } = deps
  await scope.register(async (inner) => mountMissions(scopeFor(inner, 'missions', deps.options), {
    url,
    isOriginAllowed: ({ headers: { origin }, host, protocol }) =>
      isOriginAllowed({ origin, host, protocol }, allowedOrigins),
    list: (query, isVisible) => missions.list(query, isVisible),
    find: (id) => missions.find(id),
    isVisible: (mission, context) => missions.commands.isVisible(mission, context),
    cancel: (id, context) => missions.commands.cancel(id, context)
  }))
}
