import type { Principal } from '../../../schemas/access.js'
import { copyObject } from '../../base/copy.js'
import { InvalidHandler } from '../../base/errors.js'
import { compileForeign, type Validate } from '../../base/validation.js'
import type { Mission } from '../mission.js'
import { toStartSchema } from './start-schema.js'

type Answer<T> = T | Promise<T>

/**
 * Where a command comes from. `request` is the Fastify request, with everything the host's hooks put on it; for a
 * command over a WebSocket, the request that opened the connection. The domain does not know its type.
 */
export interface CommandContext<Request = unknown> {
  request: Request
  /** The principal that `access.identify` has returned; `undefined` without `access`. */
  principal: Principal | undefined
  /** The id of the connection; `null` over HTTP. */
  connectionId: string | null
  /** The parsed JSON after `/mission`; `undefined` for any other command. */
  params?: unknown
}

/** Lets clients start, cancel or see missions. Starting and cancelling are off without a handler. */
export interface MissionHandlers<Request = unknown> {
  start?: {
    /** Whether this client may start missions; without it, every connected client may. */
    authorize?: (command: string, context: CommandContext<Request>) => Answer<boolean>
    /**
     * JSON Schema or TypeBox type of `params`; with it, commands other than `/mission {json}` are refused. Clients that
     * may start missions receive it, for a form.
     */
    schema?: object
    /** Starts the work and returns its mission, within 10 s. */
    start: (command: string, context: CommandContext<Request>) => Answer<Mission>
  }
  cancel?: {
    /** Whether this client may cancel the mission; without it, every connected client may. */
    authorize?: (mission: Mission, context: CommandContext<Request>) => Answer<boolean>
  }
}

/** Checked handlers with their compiled schema, and a copy of it for clients. */
export interface CheckedHandlers extends MissionHandlers {
  validateParams?: Validate<unknown>
  startSchema?: Record<string, unknown> | undefined
}

const GROUPS = { start: ['start', 'authorize', 'schema'], cancel: ['authorize'] } as const

/**
 * Checks the handlers of the host. Unknown names are refused: a misspelt `authorize` would grant access to everybody.
 *
 * @throws FST_MC_INVALID_HANDLER
 */
export function checkHandlers (given: MissionHandlers): CheckedHandlers {
  const names = Object.keys(GROUPS)
  checkNames('the handlers', given, names)
  const handlers = copyObject(given, names) as MissionHandlers
  for (const [group, names] of Object.entries(GROUPS)) checkGroup(group, handlers[group as keyof typeof GROUPS], names)
  const { start } = handlers
  if (start !== undefined && start.start === undefined) throw new InvalidHandler('start.start must be a function')
  if (start?.schema === undefined) return handlers
  return { ...handlers, validateParams: compileParams(start.schema), startSchema: toStartSchema(start.schema) }
}

function checkGroup (group: string, given: object | undefined, names: readonly string[]): void {
  if (given === undefined) return
  checkNames(group, given, names)
  for (const name of names) if (name !== 'schema') checkFunction(`${group}.${name}`, given[name as keyof typeof given])
}

function checkNames (what: string, given: unknown, names: readonly string[]): void {
  if (typeof given !== 'object' || given === null) throw new InvalidHandler(`${what} must be an object`)
  const surplus = Object.keys(given).find((name) => !names.includes(name))
  if (surplus === undefined) return
  throw new InvalidHandler(`${what} has no "${surplus.slice(0, 64)}"; there are ${names.join(', ')}`)
}

function checkFunction (name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw new InvalidHandler(`${name} must be a function`)
}

function compileParams (schema: object): Validate<unknown> {
  try {
    const validate = compileForeign(schema)
    // Such a check returns a promise, which would count as true.
    if ('$async' in validate) throw new Error('it is asynchronous')
    return validate
  } catch (err) {
    throw new InvalidHandler(`start.schema can't be used (${(err as Error).message})`)
  }
}

/** A parsed command; `params` only for `/mission {json}`. */
export type ParsedCommand = { isValid: true, params: unknown } | { isValid: false }

const MISSION_COMMAND = /^\/mission(?=[\s{]|$)\s*([^]*)$/

/** Parses a command. `/mission` must be followed by JSON, the params; any other command is text of the host's own. */
export function parseCommand (command: string, validateParams: Validate<unknown> | undefined): ParsedCommand {
  const match = MISSION_COMMAND.exec(command)
  if (match === null) return validateParams === undefined ? { isValid: true, params: undefined } : { isValid: false }
  try {
    const params: unknown = JSON.parse(match[1]!, refusePrototypes)
    return validateParams === undefined || validateParams(params) ? { isValid: true, params } : { isValid: false }
  } catch {
    // The reason would echo the client's text.
    return { isValid: false }
  }
}

// A host that merges such params into an object of its own would change its prototype.
function refusePrototypes (key: string, value: unknown): unknown {
  if (key === '__proto__' || key === 'prototype') throw new SyntaxError('forbidden key')
  return value
}
