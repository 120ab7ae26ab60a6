import type { FastifyInstance } from 'fastify'
import type { Operation } from '../../schemas/metrics.js'
import { isOwnRoute } from './own-route.js'

interface OperationTracker { trackOperation (operation: Operation): void }

/**
 * Records every request of the host as an operation: component `http`, operation `GET:/users/:id` (the pattern of the
 * route, never the URL), an error from status 500 on. Requests to the plugin's own routes and upgrades are not
 * recorded.
 */
export function trackRequests (app: FastifyInstance, monitoring: OperationTracker): void {
  app.addHook('onResponse', async (request, reply) => {
    if (isOwnRoute(request) || request.ws === true) return
    const isError = reply.statusCode >= 500
    monitoring.trackOperation({
      component: 'http',
      operation: `${request.method}:${request.routeOptions.url ?? 'unmatched'}`,
      status: isError ? 'error' : 'success',
      durationMs: reply.elapsedTime,
      ...(isError && { errorCode: String(reply.statusCode) })
    })
  })
}
