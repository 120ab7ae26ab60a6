import type { FastifyInstance } from 'fastify'

type ChildLoggerFactory = FastifyInstance['childLoggerFactory']

type Serializers = Readonly<Record<string, (value: unknown) => unknown>>

/** Where pino keeps the serializers of a logger. */
const SERIALIZERS = Symbol.for('pino.serializers')
const HIDDEN = '[hidden]'

/**
 * Removes the value of a query parameter from the URLs in the request log of the routes of the scope. Call it before
 * the first route is mounted.
 */
export function hideQueryToken (scope: FastifyInstance, parameter: string): void {
  scope.addHook('onRoute', (route) => {
    const createLogger: ChildLoggerFactory = route.childLoggerFactory ?? scope.childLoggerFactory
    route.childLoggerFactory = function (this: FastifyInstance, logger, bindings, options, raw) {
      const own = options.serializers as Serializers | undefined
      const known = own?.['req'] ?? (logger as { [SERIALIZERS]?: Serializers })[SERIALIZERS]?.['req']
      const req = (value: unknown) => hideIn(known === undefined ? value : known(value), parameter)
      const serializers = { ...options.serializers, req }
      return createLogger.call(this, logger, bindings, { ...options, serializers }, raw)
    } as ChildLoggerFactory
  })
}

function hideIn (logged: unknown, parameter: string): unknown {
  const { url } = Object(logged) as { url?: unknown }
  return typeof url === 'string' ? { ...Object(logged), url: hideParameter(url, parameter) } : logged
}

/** The URL with `[hidden]` as the value of a query parameter, however its name is encoded. */
export function hideParameter (url: string, parameter: string): string {
  const at = url.indexOf('?')
  if (at < 0) return url
  const parts = url.slice(at + 1).split('&').map((part) => {
    const [name = ''] = part.split('=', 1)
    return [...new URLSearchParams(name).keys()][0] === parameter ? `${name}=${HIDDEN}` : part
  })
  return `${url.slice(0, at)}?${parts.join('&')}`
}
