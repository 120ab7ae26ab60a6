import type { FastifyInstance } from 'fastify'
import type { HealthSnapshot } from '../../schemas/health.js'
import { HealthQuery, HealthResponse, ProbeResponse } from '../../schemas/http.js'
import type { ServerIdentity } from '../../schemas/messages/envelope.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import { createUnifiedTimestamp, type Clock } from '../base/clock.js'
import { compile } from '../base/validation.js'
import { describe } from './describe.js'

export interface HealthRouteDeps {
  url: string
  /** The last snapshot; the route never waits for a check. */
  health: () => HealthSnapshot
  wsMetrics: () => WsMetrics
  server: ServerIdentity
  uptimeMs: () => number
  isClosing: () => boolean
  clock: Clock
}

interface Answer { statusCode: 200 | 503, body: HealthResponse | ProbeResponse }

const ANSWERS = { anyOf: [HealthResponse, ProbeResponse] }

/** `GET url`: health for people (`?details=true` for all of it) and for orchestrators (`?probe=live` and `?probe=ready`). */
export function mountHealth (app: FastifyInstance, options: HealthRouteDeps): void {
  app.get<{ Querystring: HealthQuery }>(options.url, {
    schema: describe({ summary: 'Health, for people and for probes', querystring: HealthQuery, response: { 200: ANSWERS, 503: ANSWERS } }),
    // A host may have given the app compilers for schemas of another kind, or one whose errors repeat the input.
    validatorCompiler: () => compile(HealthQuery),
    serializerCompiler: () => JSON.stringify
  }, async ({ query }, reply) => {
    const { statusCode, body } = answer(query, options)
    reply.code(statusCode).header('cache-control', 'no-store')
    return body
  })
}

function answer ({ probe, details }: HealthQuery, options: HealthRouteDeps): Answer {
  if (probe === 'live') return probeAnswer(true)
  const health = options.health()
  if (probe === 'ready') return probeAnswer(!options.isClosing() && health.status !== 'unknown' && health.status !== 'critical')
  const body = summarize(health, options)
  if (details?.toLowerCase() === 'true') Object.assign(body, { health, metrics: { ws: options.wsMetrics() } })
  return { statusCode: health.status === 'critical' ? 503 : 200, body }
}

function probeAnswer (isFine: boolean): Answer {
  return isFine ? { statusCode: 200, body: { status: 'ok' } } : { statusCode: 503, body: { status: 'unavailable' } }
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
