import type { FastifyInstance, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import type { HealthSnapshot } from '../../schemas/health.js'
import { HealthQuery, HealthResponse, ProbeResponse } from '../../schemas/http.js'
import type { ServerIdentity } from '../../schemas/messages/envelope.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import { createUnifiedTimestamp, type Clock } from '../base/clock.js'
import { compile } from '../base/validation.js'
import { describe } from './describe.js'
import { HEALTH_ROUTE, isHealthRoute } from './own-route.js'

export interface HealthRouteDeps {
  url: string
  /** Refuses requests of those who may not see the details. */
  requireDetails: onRequestAsyncHookHandler
  /** The last snapshot; the route never waits for a health check. */
  health: () => HealthSnapshot
  wsMetrics: () => WsMetrics
  server: ServerIdentity
  uptimeMs: () => number
  isClosing: () => boolean
  /** Sent as `Retry-After` with 503, in seconds. */
  retryAfterSeconds: number
  clock: Clock
}

interface HealthReply { statusCode: 200 | 503, body: HealthResponse | ProbeResponse }

const RESPONSES = { anyOf: [HealthResponse, ProbeResponse] }

/** Whether a request is for health without details, which contains only the status and identity of the service. */
export function isPublicHealth (request: FastifyRequest): boolean {
  const { probe, details } = request.query as Record<string, unknown>
  return isHealthRoute(request) && (probe !== undefined || !wantsDetails(details))
}

/**
 * `GET url`: health for people (all of it with `?details=true`) and for orchestrators (`?probe=live`, `?probe=ready`
 * and `?probe=startup`).
 */
export function mountHealth (app: FastifyInstance, deps: HealthRouteDeps): void {
  const { requireDetails } = deps
  app.get<{ Querystring: HealthQuery }>(deps.url, {
    config: HEALTH_ROUTE as object,
    async onRequest (request, reply) {
      if (!isPublicHealth(request)) return await requireDetails.call(app, request, reply)
    },
    schema: describe({
      summary: 'Health, for people and for probes',
      querystring: HealthQuery,
      response: { 200: RESPONSES, 503: RESPONSES }
    }),
    // Compilers of the host may not support these schemas, or may repeat the input in their errors.
    validatorCompiler: () => compile(HealthQuery),
    serializerCompiler: () => JSON.stringify
  }, async ({ query }, reply) => {
    const { statusCode, body } = respond(query, deps)
    reply.code(statusCode).header('cache-control', 'no-store')
    if (statusCode === 503) reply.header('retry-after', deps.retryAfterSeconds)
    return body
  })
}

function respond ({ probe, details }: HealthQuery, deps: HealthRouteDeps): HealthReply {
  if (probe === 'live') return respondToProbe(true)
  const health = deps.health()
  // Not whether it is healthy: an orchestrator would restart the service for a failure of its database.
  if (probe === 'startup') return respondToProbe(health.checkedAt !== null)
  if (probe === 'ready') return respondToProbe(!deps.isClosing() && isReady(health))
  const body = summarize(health, deps)
  if (wantsDetails(details)) Object.assign(body, { health, metrics: { ws: deps.wsMetrics() } })
  return { statusCode: health.status === 'critical' ? 503 : 200, body }
}

const wantsDetails = (details: unknown): boolean => String(details).toLowerCase() === 'true'

const isReady = ({ status }: HealthSnapshot): boolean => status !== 'unknown' && status !== 'critical'

function respondToProbe (isOk: boolean): HealthReply {
  return isOk ? { statusCode: 200, body: { status: 'ok' } } : { statusCode: 503, body: { status: 'unavailable' } }
}

function summarize ({ status }: HealthSnapshot, { server, uptimeMs, clock }: HealthRouteDeps): HealthResponse {
  return {
    status,
    timestamp: createUnifiedTimestamp(clock).iso,
    server: server.name,
    version: server.version,
    uptimeMs: Math.floor(uptimeMs())
  }
}
