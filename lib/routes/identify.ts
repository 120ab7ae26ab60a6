import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AccessAction } from '../../schemas/access.js'
import type { Access } from '../access/access.js'
import { EVERYBODY, type Viewer } from '../access/viewer.js'
import { Forbidden, Unauthorized } from '../base/errors.js'

/**
 * Identifies the sender of each request once, before its route runs. Requests without a principal are refused, and
 * upgrades before the WebSocket opens.
 */
export class Identities {
  readonly #access: Access
  readonly #viewers = new WeakMap<FastifyRequest, Viewer>()

  constructor (access: Access) {
    this.#access = access
  }

  /** Refuses requests without a principal to all routes of the scope, except those for which `isPublic` is true. */
  guard (scope: FastifyInstance, isPublic: (request: FastifyRequest) => boolean): void {
    if (!this.#access.isRestricted) return
    scope.addHook('onRequest', async (request, reply) => {
      if (isPublic(request)) return
      const viewer = await this.#access.identify(request)
      if (viewer === null) return refuse(reply, new Unauthorized())
      this.#viewers.set(request, viewer)
    })
  }

  /** The viewer that sent a request; `EVERYBODY` without access rules, and for public requests. */
  of (request: FastifyRequest): Viewer {
    return this.#viewers.get(request) ?? EVERYBODY
  }

  /** Returns a hook for one route that refuses the requests of viewers that may not do something. */
  require (action: AccessAction) {
    return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> =>
      this.#access.allows(this.of(request), { action }) ? undefined : refuse(reply, new Forbidden())
  }
}

// Sent instead of thrown: Fastify logs thrown errors, so a flood of requests would flood the log.
function refuse (reply: FastifyReply, { statusCode, code, message }: FastifyError): FastifyReply {
  // RFC 9110 §15.5.2 requires the header.
  if (statusCode === 401) reply.header('www-authenticate', 'Bearer')
  return reply.code(statusCode!).send({ statusCode, code, error: STATUS_CODES[statusCode!], message })
}
