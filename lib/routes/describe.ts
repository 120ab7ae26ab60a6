import type { FastifySchema } from 'fastify'

/** How a route shows in an OpenAPI document. */
export interface Description extends FastifySchema { summary: string, produces?: readonly string[] }

const TAGS = ['mission-control']

/** The schema of a route, with what @fastify/swagger shows of it in the host's OpenAPI document. Fastify itself looks at neither. */
export const describe = (schema: Description): FastifySchema => ({ tags: TAGS, ...schema }) as FastifySchema
