import type { FastifyInstance, onRequestAsyncHookHandler } from 'fastify'
import { WsMetricsResponse } from '../../schemas/http.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import { createUnifiedTimestamp, type Clock } from '../base/clock.js'
import { describe } from './describe.js'

export interface WsMetricsRouteDeps {
  url: string
  /** Refuses requests of those who may not see the metrics. */
  onRequest: onRequestAsyncHookHandler
  wsMetrics: () => WsMetrics
  clock: Clock
}

/** `GET url`: the counters of the WebSocket route as JSON. */
export function mountWsMetrics (app: FastifyInstance, { url, onRequest, wsMetrics, clock }: WsMetricsRouteDeps): void {
  app.get(url, {
    onRequest,
    schema: describe({ summary: 'Counters of the WebSocket route', response: { 200: WsMetricsResponse } }),
    // A compiler of the host may not support this schema.
    serializerCompiler: () => JSON.stringify
  }, async (_request, reply): Promise<WsMetricsResponse> => {
    reply.header('cache-control', 'no-store')
    return { timestamp: createUnifiedTimestamp(clock).iso, metrics: wsMetrics() }
  })
}
