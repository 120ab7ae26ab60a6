import { Type, type TSchema } from '@sinclair/typebox'
import { LONGEST_TIMER_MS } from '../limits.js'

interface CountOptions { default: number, minimum: number, maximum: number, description: string }

/**
 * A value that JSON Schema cannot describe: the `host` keyword checks it, `expected` is the wording in the error
 * message.
 */
export const hostValue = <T>(
  kind: 'function' | 'functions' | 'object' | 'config' | 'backplane', expected: string, description: string
) =>
    Type.Unsafe<T>({ host: kind, expected, description })

/** A duration in whole milliseconds that a timer can wait for. */
export const milliseconds = (defaultMs: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: LONGEST_TIMER_MS, default: defaultMs, description })

/** A whole number with bounds. */
export const count = (options: CountOptions) => Type.Integer(options)

/** A text of 1 to 128 characters. */
export const label = (text: string, description: string) =>
  Type.String({ minLength: 1, maxLength: 128, default: text, description })

/** A group of options; unknown names are refused. */
export const group = <T extends Record<string, TSchema>>(properties: T) =>
  Type.Object(properties, { additionalProperties: false, default: {} })

/** A URL path that starts with a slash, without query or fragment. */
export const path = (options: { default?: string, description?: string } = {}) =>
  Type.String({ pattern: '^/[^?#\\s]*$', maxLength: 256, ...options })

/** The path of a route, or `false` to leave the route out. */
export const route = (defaultPath: string | false, description: string) =>
  Type.Union([Type.Literal(false), path()], {
    default: defaultPath,
    description,
    expected: 'false, or a path that starts with /'
  })

/** A function that decides what clients see of a value. */
export const serializer = (value: string) => {
  const description = `Converts ${value} before it is sent to clients; called once per event.`
  return hostValue<(value: unknown) => unknown>('function', 'a function', description)
}

/** A host name with or without a port. Case does not matter. */
export const Host = Type.String({
  pattern: '^(\\[[0-9a-fA-F:.]+\\]|[^/?#@\\s,*:\\[\\]\\\\]+)(:[0-9]{1,5})?$',
  maxLength: 256,
  host: 'hostname'
})

/** An origin: scheme, host and port. Case and a default port do not matter. */
export const Origin = Type.String({
  pattern: '^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#@\\s,*]+$',
  maxLength: 256,
  host: 'origin'
})
