import type { FastifyInstance } from 'fastify'
import type { ResolvedOptions } from '../../schemas/options.js'
import { InvalidOption } from '../base/errors.js'

type RouteOptions = Pick<ResolvedOptions, 'routes' | 'websocket'>

/** Fastify's error for a route that exists twice would not say which option moves the plugin's route. */
export function refuseTaken (scope: FastifyInstance, options: RouteOptions): void {
  for (const [url, option] of pathsOf(scope.prefix, options)) {
    if (scope.hasRoute({ method: 'GET', url })) throw duplicateOf(url, option)
  }
}

/** Refuses routes that the host adds later; to be called after the routes of the plugin were mounted. */
export function refuseDuplicates (app: FastifyInstance, prefix: string, options: RouteOptions): void {
  const paths = pathsOf(prefix, options)
  app.addHook('onRoute', ({ url, method, constraints = {} }) => {
    const option = paths.get(url)
    const isSame = [method].flat().includes('GET') && Object.keys(constraints).length === 0
    if (option !== undefined && isSame) throw duplicateOf(url, option)
  })
}

function pathsOf (prefix: string, { routes, websocket }: RouteOptions): Map<string, string> {
  const { config: _, ...paths } = routes
  const named: Array<[string | false, string]> = [[websocket.path, 'websocket.path']]
  for (const [name, path] of Object.entries(paths)) named.push([path, `routes.${name}`])
  return new Map(named.filter(([path]) => path !== false).map(([path, option]) => [prefix + String(path), option]))
}

const duplicateOf = (url: string, option: string) =>
  new InvalidOption(`there are two routes GET ${url}; set ${option} to another path, or remove the other route`)
