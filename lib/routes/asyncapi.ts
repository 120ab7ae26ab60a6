import type { FastifyInstance } from 'fastify'
import { createAsyncApi, type AsyncApiDeps } from '../contract/asyncapi.js'
import { describe } from './describe.js'

export interface AsyncApiRouteDeps extends AsyncApiDeps { url: string }

/**
 * `GET url`: the AsyncAPI document of the WebSocket route, for code generators and for people. It is generated once.
 */
export function mountAsyncApi (app: FastifyInstance, { url, ...deps }: AsyncApiRouteDeps): void {
  const document = JSON.stringify(createAsyncApi(deps))
  app.get(url, {
    schema: describe({
      summary: 'The AsyncAPI document of the WebSocket route',
      response: { 200: { description: 'An AsyncAPI 3.0.0 document', type: 'object', additionalProperties: true } }
    }),
    // The document is already serialized, and a compiler of the host may not support this schema.
    serializerCompiler: () => String
  }, async (_request, reply) => {
    reply.headers({ 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
    return document
  })
}
