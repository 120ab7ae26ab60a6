import type { FastifyInstance } from 'fastify'
import type { Operation } from '../../schemas/metrics.js'
import { isOwnRoute } from './own-route.js'

/**
 * Makes every finished request of the host an operation metric: component `http`, operation `GET:/users/:id` (the route's pattern,
 * never the URL), an error from status 500 on. Requests to the plugin's own routes and upgrades are left out.
 */
export function trackRequests (app: FastifyInstance, monitoring: { trackOperation (operation: Operation): void }): void {
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
