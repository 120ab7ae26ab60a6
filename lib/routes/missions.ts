import type { FastifyInstance, FastifyRequest } from 'fastify'
import {
  CancelResponse, ErrorResponse, MissionListQuery, MissionListResponse, MissionParams
} from '../../schemas/http.js'
import { MissionView, type MissionQuery } from '../../schemas/mission.js'
import { CommandFailed, MissionNotFound, OriginRefused, OwnerUnavailable, Unsupported } from '../base/errors.js'
import type { AccessCaller } from '../access/caller.js'
import type { CommandResult, MissionList } from '../missions/index.js'
import { compileQuery, describeFailure, type ErrorObject } from '../base/validation.js'
import { describe } from './describe.js'

export interface MissionRoutesDeps {
  url: string
  isOriginAllowed: (request: FastifyRequest) => boolean
  /** Returns the sender of a request. */
  callerOf: (request: FastifyRequest) => AccessCaller
  list: (caller: AccessCaller, query: MissionQuery) => MissionList
  /** `undefined` for a mission that is unknown, or that the caller may not see. */
  view: (caller: AccessCaller, id: string) => MissionView | undefined
  cancel: (id: string, caller: AccessCaller) => Promise<CommandResult>
}

const CANCEL_RESPONSES = {
  202: CancelResponse,
  400: ErrorResponse,
  403: ErrorResponse,
  404: ErrorResponse,
  500: ErrorResponse,
  501: ErrorResponse,
  503: ErrorResponse
}

const REFUSALS: Record<string, new () => Error> = {
  unsupported: Unsupported, unknown_mission: MissionNotFound, owner_unavailable: OwnerUnavailable
}

// Compilers of the host may not support these schemas, and its error formatter may repeat the input.
const compilers = {
  validatorCompiler: ({ schema }: { schema: unknown }) => compileQuery(schema as typeof MissionListQuery),
  schemaErrorFormatter: (errors: unknown, part: string) =>
    new Error(`${part} ${describeFailure(errors as ErrorObject[]).join('; ')}`),
  serializerCompiler: () => (body: unknown) => JSON.stringify(body instanceof Error ? describeError(body) : body)
}

// If an error response has a schema, Fastify passes the error itself to the serializer, and JSON omits its properties.
function describeError (refusal: Error): ErrorResponse {
  const { statusCode, code, error, message } = refusal as unknown as ErrorResponse
  return { statusCode, code, error, message } as ErrorResponse
}

/** The HTTP routes that list, show and cancel missions. */
export function mountMissions (scope: FastifyInstance, routes: MissionRoutesDeps): void {
  scope.addHook('onSend', async (_request, reply) => { reply.header('cache-control', 'no-store') })
  mountList(scope, routes)
  const one = `${routes.url.endsWith('/') ? routes.url.slice(0, -1) : routes.url}/:id`
  mountOne(scope, { ...routes, url: one })
  mountCancel(scope, { ...routes, url: `${one}/cancel` })
}

function mountList (scope: FastifyInstance, { url, list, callerOf }: MissionRoutesDeps): void {
  scope.route<{ Querystring: MissionListQuery }>({
    method: 'GET',
    url,
    ...compilers,
    schema: describe({
      summary: 'Lists missions, newest first',
      querystring: MissionListQuery,
      response: { 200: MissionListResponse, 400: ErrorResponse }
    }),
    handler: async (request) => list(callerOf(request), request.query)
  })
}

function mountOne (scope: FastifyInstance, { url, view, callerOf }: MissionRoutesDeps): void {
  scope.route<{ Params: MissionParams }>({
    method: 'GET',
    url,
    ...compilers,
    schema: describe({
      summary: 'Returns one mission',
      params: MissionParams,
      response: { 200: MissionView, 400: ErrorResponse, 404: ErrorResponse }
    }),
    handler: async (request) => {
      const found = view(callerOf(request), request.params.id)
      if (found === undefined) throw new MissionNotFound()
      return found
    }
  })
}

function mountCancel (scope: FastifyInstance, { url, cancel, callerOf, isOriginAllowed }: MissionRoutesDeps): void {
  scope.route<{ Params: MissionParams }>({
    method: 'POST',
    url,
    ...compilers,
    schema: describe({
      summary: 'Requests that a mission is cancelled',
      params: MissionParams,
      response: CANCEL_RESPONSES
    }),
    // A page of another origin can send a form; it must not cancel missions with the cookies of its visitor.
    onRequest: async (request) => { if (!isOriginAllowed(request)) throw new OriginRefused() },
    handler: async (request, reply) => {
      const result = await cancel(request.params.id, callerOf(request))
      if (!result.accepted) throw new (REFUSALS[result.code] ?? CommandFailed)()
      reply.code(202)
      return { missionId: result.missionId, result: result.cancel }
    }
  })
}
