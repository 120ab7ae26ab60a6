import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import { wantsGzip } from '../prometheus/negotiation.js'
import type { Page } from '../prometheus/page.js'
import { describe } from './describe.js'

const compress = promisify(gzip)

const PAGES = { 'text/plain': { schema: { type: 'string' } }, 'application/openmetrics-text': { schema: { type: 'string' } } }

export interface PrometheusRouteDeps {
  url: string
  /** The page for an `Accept` header. */
  render: (accept?: string) => Promise<Page>
}

/** `GET url`: the exposition for Prometheus, packed with gzip for a client that asks for it. */
export function mountPrometheus (app: FastifyInstance, { url, render }: PrometheusRouteDeps): void {
  app.get(url, {
    schema: describe({ summary: 'Metrics for Prometheus, as text or OpenMetrics', response: { 200: { description: 'The exposition', content: PAGES } } }),
    // The page is text already.
    serializerCompiler: () => String
  }, async (request, reply) => {
    const page = await render(request.headers.accept)
    reply.headers({ 'content-type': page.contentType, 'cache-control': 'no-store', vary: 'accept, accept-encoding' })
    if (!wantsGzip(header(request.headers['accept-encoding']))) return page.body
    // A reply with this header is left alone by @fastify/compress.
    reply.header('content-encoding', 'gzip')
    return await compress(page.body)
  })
}

// Fastify's types allow a list for this header; Node joins repeated ones into one string.
const header = (value: string | string[] | undefined): string => String(value ?? '')
