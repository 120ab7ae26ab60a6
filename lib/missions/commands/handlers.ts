import { InvalidHandler } from '../../base/errors.js'
import { compileForeign, type Validate } from '../../base/validation.js'
import type { Mission } from '../mission.js'

type Answer<T> = T | Promise<T>

/**
 * Who asks: `request` is the Fastify request (of a client, the one that opened its connection), with all that the
 * host's hooks put on it.
 */
export interface CommandContext {
  request: unknown
  /** The connection the command came over; `null` over HTTP. */
  connectionId: string | null
  /** What followed `/mission` as JSON; `undefined` for any other command. */
  params?: unknown
}

/** What a host gives so that clients may start, cancel or see missions. Starting and cancelling are off until given. */
export interface MissionHandlers {
  start?: {
    /** Whether this client may; absent means everybody who is connected. */
    authorize?: (command: string, context: CommandContext) => Answer<boolean>
    /** JSON Schema of `params`, or a TypeBox type; with it, commands other than `/mission {json}` are refused. */
    schema?: object
    /** Starts the work and returns its mission. It has 10 s. */
    start: (command: string, context: CommandContext) => Answer<Mission>
  }
  cancel?: {
    /** Whether this client may see and cancel the mission; absent means everybody who is connected. */
    authorize?: (mission: Mission, context: CommandContext) => Answer<boolean>
  }
  view?: {
    /**
     * Whether this client may see the mission over HTTP; absent means everybody. What a client may not see it can't
     * cancel either. Synchronous, since a list asks it for each mission.
     */
    authorize?: (mission: Mission, context: CommandContext) => boolean
  }
  /**
   * Whose idempotency keys a client's ids are: give the same text for the same user to make them outlive a reconnect.
   * Absent, or `undefined` for a client that nobody knows: the connection's. Synchronous.
   */
  identify?: (context: CommandContext) => string | undefined
}

/** Handlers that were checked, their schema compiled. */
export interface CheckedHandlers extends MissionHandlers { validateParams?: Validate<unknown> }

const GROUPS = { start: ['start', 'authorize', 'schema'], cancel: ['authorize'], view: ['authorize'] } as const

/**
 * Checks what the host gave. A name that is not known is refused: a misspelt `authorize` would let everybody in.
 *
 * @throws FST_MC_INVALID_HANDLER
 */
export function checkHandlers (handlers: MissionHandlers): CheckedHandlers {
  checkNames('the handlers', handlers, [...Object.keys(GROUPS), 'identify'])
  for (const [group, names] of Object.entries(GROUPS)) checkGroup(group, handlers[group as keyof typeof GROUPS], names)
  const { start, identify } = handlers
  if (start !== undefined && start.start === undefined) throw new InvalidHandler('start.start must be a function')
  checkFunction('identify', identify)
  return { ...handlers, ...(start?.schema !== undefined && { validateParams: compileParams(start.schema) }) }
}

function checkGroup (group: string, given: object | undefined, names: readonly string[]): void {
  if (given === undefined) return
  checkNames(group, given, names)
  for (const name of names) if (name !== 'schema') checkFunction(`${group}.${name}`, given[name as keyof typeof given])
}

function checkNames (what: string, given: unknown, names: readonly string[]): void {
  if (typeof given !== 'object' || given === null) throw new InvalidHandler(`${what} must be an object`)
  const surplus = Object.keys(given).find((name) => !names.includes(name))
  if (surplus !== undefined) throw new InvalidHandler(`${what} has no "${surplus.slice(0, 64)}"; there are ${names.join(', ')}`)
}

function checkFunction (name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw new InvalidHandler(`${name} must be a function`)
}

function compileParams (schema: object): Validate<unknown> {
  try {
    const validate = compileForeign(schema)
    // What such a check gives is a promise, which would pass for a yes.
    if ('$async' in validate) throw new Error('it is asynchronous')
    return validate
  } catch (err) {
    throw new InvalidHandler(`start.schema can't be used (${(err as Error).message})`)
  }
}

/** A command as it was understood: `params` where it was `/mission {json}`. */
export type ParsedCommand = { isValid: true, params: unknown } | { isValid: false }

const MISSION_COMMAND = /^\/mission(?=[\s{]|$)\s*([^]*)$/

/**
 * Reads a command: `/mission {json}` has params, and what follows must be JSON; everything else is the host's own text.
 */
export function parseCommand (command: string, validateParams: Validate<unknown> | undefined): ParsedCommand {
  const match = MISSION_COMMAND.exec(command)
  if (match === null) return validateParams === undefined ? { isValid: true, params: undefined } : { isValid: false }
  try {
    const params: unknown = JSON.parse(match[1]!, refusePrototypes)
    return validateParams === undefined || validateParams(params) ? { isValid: true, params } : { isValid: false }
  } catch {
    // What is wrong with it would be the client's text.
    return { isValid: false }
  }
}

// A host that merges such params into an object of its own would change its prototype.
function refusePrototypes (key: string, value: unknown): unknown {
  if (key === '__proto__' || key === 'prototype') throw new SyntaxError('forbidden key')
  return value
}
