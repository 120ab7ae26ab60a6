import type { FastifySchema } from 'fastify'

/** The schema of a route and its summary in an OpenAPI document. */
export interface RouteSchema extends FastifySchema { summary: string, produces?: readonly string[], hide?: boolean }

const TAGS = ['mission-control']

/** Adds what @fastify/swagger shows of a route in the host's OpenAPI document; Fastify itself ignores it. */
export const describe = (schema: RouteSchema): FastifySchema => ({ tags: TAGS, ...schema }) as FastifySchema
