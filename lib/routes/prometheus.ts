import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { FastifyInstance, onRequestAsyncHookHandler } from 'fastify'
import type { ExpositionResponse } from '../prometheus/exposition.js'
import { wantsGzip } from '../prometheus/negotiation.js'
import { describe } from './describe.js'

const compress = promisify(gzip)

const TEXT = { schema: { type: 'string' } }
const CONTENT = { 'text/plain': TEXT, 'application/openmetrics-text': TEXT }

export interface PrometheusRouteDeps {
  url: string
  /** Refuses requests of those who may not see the metrics. */
  onRequest: onRequestAsyncHookHandler
  /** Renders the metrics in the format for an `Accept` header. */
  render: (accept?: string) => Promise<ExpositionResponse>
}

/** `GET url`: the metrics for Prometheus, compressed with gzip if `Accept-Encoding` asks for it. */
export function mountPrometheus (app: FastifyInstance, { url, onRequest, render }: PrometheusRouteDeps): void {
  app.get(url, {
    onRequest,
    schema: describe({
      summary: 'Metrics for Prometheus, as text or OpenMetrics',
      response: { 200: { description: 'The metrics', content: CONTENT } }
    }),
    // The body is already text.
    serializerCompiler: () => String
  }, async (request, reply) => {
    const { contentType, body } = await render(request.headers.accept)
    reply.headers({ 'content-type': contentType, 'cache-control': 'no-store', vary: 'accept, accept-encoding' })
    if (!wantsGzip(header(request.headers['accept-encoding']))) return body
    // @fastify/compress does not touch a reply that has this header.
    reply.header('content-encoding', 'gzip')
    return await compress(body)
  })
}

// Fastify's types allow an array for this header; Node.js joins repeated headers into one string.
const header = (value: string | string[] | undefined): string => String(value ?? '')
