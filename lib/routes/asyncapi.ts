import type { FastifyInstance } from 'fastify'
import { createAsyncApi, type AsyncApiDeps } from '../contract/asyncapi.js'
import { describe } from './describe.js'

export interface AsyncApiRouteDeps extends AsyncApiDeps { url: string }

/** `GET url`: the AsyncAPI document of the WebSocket route, for generators and for people. It is made once. */
export function mountAsyncApi (app: FastifyInstance, { url, ...setup }: AsyncApiRouteDeps): void {
  const document = JSON.stringify(createAsyncApi(setup))
  app.get(url, {
    schema: describe({
      summary: 'The AsyncAPI document of the WebSocket route',
      response: { 200: { description: 'An AsyncAPI 3.0.0 document', type: 'object', additionalProperties: true } }
    }),
    // The document is text already; a host's own compiler might not know what to do with this schema.
    serializerCompiler: () => String
  }, async (_request, reply) => {
    reply.headers({ 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
    return document
  })
}
