import type { FastifyInstance, FastifyRequest } from 'fastify'

interface Mark { missionControl?: 'http' | 'websocket' | 'health' }

/** The `config` that marks the WebSocket route. */
export const WEBSOCKET_ROUTE: Mark = { missionControl: 'websocket' }

/** The `config` that marks the health route. */
export const HEALTH_ROUTE: Mark = { missionControl: 'health' }

/** Marks every route of the scope as one of the plugin; to be called before the first route is mounted. */
export function markOwnRoutes (scope: FastifyInstance): void {
  scope.addHook('onRoute', (route) => { route.config = { missionControl: 'http', ...route.config } as object })
}

const markOf = (request: FastifyRequest) => (request.routeOptions.config as Mark | undefined)?.missionControl

export const isOwnRoute = (request: FastifyRequest): boolean => markOf(request) !== undefined

export const isHealthRoute = (request: FastifyRequest): boolean => markOf(request) === 'health'

export const isWebSocketRoute = (request: FastifyRequest): boolean => markOf(request) === 'websocket'

/** The address of a route of the scope: Fastify joins a prefix that ends with a slash without a second one. */
export const addressOf = ({ prefix }: FastifyInstance, path: string): string => prefix.replace(/\/$/, '') + path
