import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { Static, TSchema } from '@sinclair/typebox'

export type { ErrorObject }

/** A check that also narrows; `errors` of the last failed call are on the function, as Ajv leaves them. */
export type Validate<T> = ValidateFunction<T>

// One error is enough to refuse a message; collecting all of them lets a sender make us write more than it sent.
const ajv = new Ajv({ allErrors: false, coerceTypes: false, useDefaults: false, strict: true, allowUnionTypes: true })

/** Compiles a schema once; call at start-up, never per message. */
export function compile<Schema extends TSchema> (schema: Schema): Validate<Static<Schema>> {
  return ajv.compile<Static<Schema>>(schema)
}

const queryAjv = new Ajv({ allErrors: false, coerceTypes: true, useDefaults: false, strict: true, allowUnionTypes: true })

/** Compiles a schema for query strings and path parameters, whose values are all text. */
export function compileQuery<Schema extends TSchema> (schema: Schema): Validate<Static<Schema>> {
  return queryAjv.compile<Static<Schema>>(schema)
}

/** Compiles a schema of the host: in an instance of its own, since two schemas of the same `$id` may come in one process. */
export function compileForeign (schema: object): Validate<unknown> {
  return new Ajv({ allErrors: false, strict: false, validateFormats: false, logger: false }).compile(schema)
}

/** Where and why a value has just failed, in words that repeat nothing of the value: `channels/3 must be string`. */
export function describeFailure (errors: readonly ErrorObject[] | null | undefined): string[] {
  return errors!.slice(0, 3).map((error) => `${where(error)} ${why(error)}`.trim().slice(0, 128))
}

// Below a record the path holds keys that the sender chose; only list places and property names of ours may show.
function where (error: ErrorObject): string {
  return error.instancePath.slice(1).replaceAll(/[^\w/]/g, '').slice(0, 64)
}

function why (error: ErrorObject): string {
  return error.keyword === 'additionalProperties' ? 'has an unknown property' : error.message!
}
