import { Ajv, type ErrorObject } from 'ajv'
import { LONGEST_TIMER_MS } from '../../schemas/limits.js'
import { ENVIRONMENT, Options, type OptionsInput, type ResolvedOptions } from '../../schemas/options.js'
import { InvalidEnvironment, InvalidOption } from './errors.js'

const HOST_KINDS: Record<string, (value: unknown) => boolean> = {
  function: (value) => typeof value === 'function',
  functions: (value) => [value].flat().every((one) => typeof one === 'function'),
  object: (value) => typeof value === 'object' && value !== null,
  backplane: (value) => typeof (value as { connect?: unknown } | null)?.connect === 'function',
  config: (value) => typeof value === 'function' || (typeof value === 'object' && value !== null),
  ascending: (value) => Array.isArray(value) && value.every((one, at) => at === 0 || value[at - 1] < one),
  origin: (value) => normalizeOrigin(value as string) !== undefined,
  hostname: (value) => normalizeHost(value as string) !== undefined
}

const ajv = new Ajv({ useDefaults: true, verbose: true, strict: true, allowUnionTypes: true, strictTypes: false })
ajv.addKeyword('expected')
ajv.addKeyword({ keyword: 'host', validate: (kind: string, value: unknown) => HOST_KINDS[kind]!(value) })
const validate = ajv.compile<ResolvedOptions>(Options)

/**
 * Returns the host's options validated, completed with defaults, and frozen. The host's own object is not changed; it
 * may be of any class, and its groups too. An option in code takes precedence over `environment`, and `environment`
 * over the default.
 *
 * @throws FST_MC_INVALID_OPTION with the option, its value and its bounds
 * @throws FST_MC_INVALID_ENVIRONMENT with the variable and its value
 */
export function resolveOptions (input: OptionsInput, environment: Record<string, string | undefined>): ResolvedOptions {
  const options = copyGroup(input, Options)
  applyEnvironment(options, environment)
  if (!validate(options)) throw new InvalidOption(explain(validate.errors![0]!, validate.errors!.at(-1)!))
  const { websocket } = options
  if (Array.isArray(websocket.allowedOrigins)) {
    websocket.allowedOrigins = websocket.allowedOrigins.map((origin) => normalizeOrigin(origin)!)
  }
  if (Array.isArray(websocket.allowedHosts)) {
    websocket.allowedHosts = websocket.allowedHosts.map((host) => normalizeHost(host)!)
  }
  return freezeGroups(options)
}

/** Describes what a schema accepts, such as `a whole number from 1 to 50`. */
export function describeBounds (schema: Record<string, unknown>): string {
  if (typeof schema['expected'] === 'string') return schema['expected']
  if (schema['type'] === 'integer') return `a whole number from ${schema['minimum']} to ${schema['maximum']}`
  if (schema['type'] === 'boolean') return 'true or false'
  if (schema['type'] === 'object') return 'an object'
  if (schema['pattern'] !== undefined) {
    return `a string that matches ${schema['pattern']}, at most ${schema['maxLength']} characters`
  }
  return `a string of ${schema['minLength']} to ${schema['maxLength']} characters`
}

function explain (first: ErrorObject, last: ErrorObject): string {
  if (first.keyword === 'additionalProperties') {
    const known = Object.keys((first.parentSchema as { properties: object }).properties).join(', ')
    return `${optionPath(first, first.params['additionalProperty'])} is not an option; the options are ${known}`
  }
  if (first.keyword === 'required') return `${optionPath(first, first.params['missingProperty'])} is missing`
  // Ajv reports the branches of a failed union first and the union itself last; only the last error is about the
  // option.
  const error = last.keyword === 'anyOf' ? last : first
  const bounds = describeBounds(error.parentSchema as Record<string, unknown>)
  return `${optionPath(error)} is ${render(error.data)}, but must be ${bounds}`
}

function optionPath (error: ErrorObject, property?: string): string {
  const path = error.instancePath.split('/').slice(1)
  if (property !== undefined) path.push(property)
  return path.length === 0 ? 'the options object' : path.join('.')
}

function render (value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint' || typeof value === 'symbol') return `a ${typeof value}`
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 64))
  if (typeof value !== 'object' || value === null) return String(value)
  return Array.isArray(value) ? `a list of length ${value.length}` : 'an object'
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

const HOST_OBJECTS = new Set(['registry', 'clock', 'config', 'backplane', 'add'])

/**
 * A copy of a group without options that are `undefined`, which the validator would not treat as absent. What a class
 * defines counts too: an `authorize` that is a method must not be overlooked. Host objects are not copied.
 */
function copyGroup (input: unknown, schema: unknown): unknown {
  if (Array.isArray(input)) return [...input]
  const { properties } = (schema ?? {}) as { properties?: Record<string, unknown> }
  if (properties === undefined || typeof input !== 'object' || input === null) return input
  const copy: Record<string, unknown> = {}
  for (const name of new Set([...Object.keys(properties), ...Object.keys(input)])) {
    const value = (input as Record<string, unknown>)[name]
    if (value === undefined) continue
    const isMethod = typeof value === 'function' && !Object.hasOwn(input, name)
    copy[name] = isMethod ? value.bind(input) : copyGroup(value, properties[name])
  }
  return copy
}

/** An origin as a browser sends it: in lower case, without the default port. `undefined` if none can be like this. */
function normalizeOrigin (text: string): string | undefined {
  try {
    const { protocol, host, origin } = new URL(text)
    // Pages of other schemes, such as those of an extension, have an origin that is not in the standard for URLs.
    return origin === 'null' ? `${protocol}//${host.toLowerCase()}` : origin
  } catch {
    return undefined
  }
}

/** A host as a browser sends it, but with the port that was given. `undefined` if none can be like this. */
function normalizeHost (text: string): string | undefined {
  const [port = ''] = /:\d+$/.exec(text) ?? []
  const url = `http://${text}`
  return URL.canParse(url) ? new URL(url).hostname + port : undefined
}

function applyEnvironment (options: unknown, environment: Record<string, string | undefined>): void {
  if (!isPlain(options)) return
  for (const [variable, [group, option]] of Object.entries(ENVIRONMENT)) {
    const text = environment[variable]
    if (text === undefined) continue
    const value = readMilliseconds(variable, text)
    const values = options[group] ??= {}
    if (isPlain(values)) values[option] ??= value
  }
}

function readMilliseconds (variable: string, text: string): number {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > LONGEST_TIMER_MS) throw new InvalidEnvironment(variable, text.slice(0, 64), LONGEST_TIMER_MS)
  return value
}

function freezeGroups<T> (value: T, name = ''): T {
  if (HOST_OBJECTS.has(name) || (!isPlain(value) && !Array.isArray(value))) return value
  for (const [key, child] of Object.entries(value)) freezeGroups(child, key)
  return Object.freeze(value)
}
