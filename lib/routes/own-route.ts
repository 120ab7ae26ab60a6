import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest, RouteHandlerMethod, RouteOptions, RouteShorthandOptions } from 'fastify'
import type { ResolvedOptions, RouteConfig, RouteName } from '../../schemas/options.js'
import { InvalidOption } from '../base/errors.js'
import { callSync } from '../base/promises.js'

type ChildLoggerFactory = FastifyInstance['childLoggerFactory']

interface Mark { missionControl?: 'http' | 'websocket' | 'health' | 'dashboard' }

/** The `config` that marks the WebSocket route. */
export const WEBSOCKET_ROUTE: Mark = { missionControl: 'websocket' }

/** The `config` that marks the health route. */
export const HEALTH_ROUTE: Mark = { missionControl: 'health' }

/** The `config` that marks the routes of the page. */
export const DASHBOARD_ROUTE: Mark = { missionControl: 'dashboard' }

/**
 * A view of the scope, which marks its routes as the plugin's and adds the option `routes.config`. A hook `onRoute`
 * would come too late: those of the host run before it, and read the `config`.
 */
export function scopeFor (scope: FastifyInstance, name: RouteName, { routes }: ResolvedOptions): FastifyInstance {
  const given = configOf(name, routes.config)
  const { logLevel, tags, hide } = given
  const route = ({ config, schema, ...options }: RouteOptions) => scope.route({
    ...options,
    ...(logLevel !== undefined && { logLevel }),
    schema: { ...(hide !== undefined && { hide }), ...schema, ...(tags !== undefined && { tags }) },
    config: { ...given, missionControl: 'http', ...config } as object
  })
  const get = (url: string, options: RouteShorthandOptions, handler: RouteHandlerMethod) =>
    route({ ...options, method: 'GET', url, handler })
  return Object.assign(Object.create(scope) as FastifyInstance, { route, get })
}

/** Calls `listener` for each request to the routes of the scope, before the hooks of the host run. */
export function onRouted (
  scope: FastifyInstance, listener: (raw: IncomingMessage, isWebSocketRoute: boolean) => void
): void {
  scope.addHook('onRoute', (route) => {
    const isWebSocket = (route.config as Mark).missionControl === 'websocket'
    const createLogger: ChildLoggerFactory = route.childLoggerFactory ?? scope.childLoggerFactory
    // Nothing else of a route is called before hooks that the host has added to the app.
    route.childLoggerFactory = function (this: FastifyInstance, ...args) {
      listener(args[3], isWebSocket)
      return createLogger.apply(this, args)
    } as ChildLoggerFactory
  })
}

function configOf (name: RouteName, config: ResolvedOptions['routes']['config']): RouteConfig {
  if (typeof config !== 'function') return config ?? {}
  try {
    const given = callSync(() => config(name))
    if (typeof given === 'object' && given !== null) return given as RouteConfig
    throw new TypeError(`expected an object, got ${String(given)}`)
  } catch (cause) {
    throw Object.assign(new InvalidOption(`routes.config failed for the route "${name}"`), { cause })
  }
}

const markOf = (request: FastifyRequest) => (request.routeOptions.config as Mark | undefined)?.missionControl

export const isOwnRoute = (request: FastifyRequest): boolean => markOf(request) !== undefined

export const isHealthRoute = (request: FastifyRequest): boolean => markOf(request) === 'health'

export const isDashboardRoute = (request: FastifyRequest): boolean => markOf(request) === 'dashboard'

export const isWebSocketRoute = (request: FastifyRequest): boolean => markOf(request) === 'websocket'

/** The socket of a request. An injected request has none, or a stand-in for one with an address. */
export const socketOf = (raw: IncomingMessage): Socket | undefined =>
  raw.socket as unknown instanceof Socket ? raw.socket : undefined

/** The address of a route of the scope: Fastify joins a prefix that ends with a slash without a second one. */
export const addressOf = ({ prefix }: FastifyInstance, path: string): string => prefix.replace(/\/$/, '') + path
