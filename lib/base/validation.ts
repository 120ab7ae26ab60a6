import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { Static, TObject, TSchema } from '@sinclair/typebox'

export type { ErrorObject }

/** A type guard. Its `errors` property has the errors of the last failed call, as in Ajv. */
export type Validate<T> = ValidateFunction<T>

// One error is enough to refuse a message. With all errors, a response could be larger than the request.
const AJV_OPTIONS = { allErrors: false, useDefaults: false, strict: true, allowUnionTypes: true } as const

const ajv = new Ajv({ ...AJV_OPTIONS, coerceTypes: false })

/** Compiles a schema. To be called at startup, never per message. */
export function compile<Schema extends TSchema> (schema: Schema): Validate<Static<Schema>> {
  return ajv.compile<Static<Schema>>(schema)
}

const queryAjv = new Ajv({ ...AJV_OPTIONS, coerceTypes: true })

const DIGITS = /^[0-9]{1,16}$/

/**
 * Compiles a schema for query strings and path parameters, whose values are all strings. A number must be written in
 * decimal digits: Ajv alone accepts `1e400` as a number, and compares nothing that is not finite with its bounds.
 */
export function compileQuery<Schema extends TObject> (schema: Schema): Validate<Static<Schema>> {
  const validate = queryAjv.compile<Static<Schema>>(schema)
  const numbers = Object.keys(schema.properties).filter((name) => schema.properties[name]!['type'] === 'integer')
  const check = (data: Record<string, unknown>): boolean => {
    const fault = numbers.find((name) => typeof data[name] === 'string' && !DIGITS.test(data[name]))
    if (fault === undefined && validate(data)) return true
    const errors = fault === undefined ? validate.errors : [{ instancePath: `/${fault}`, message: 'must be integer' }]
    return !Object.assign(check, { errors })
  }
  return check as unknown as Validate<Static<Schema>>
}

/** Compiles a schema of the host, in a separate Ajv instance because two such schemas may have the same `$id`. */
export function compileForeign (schema: object): Validate<unknown> {
  return new Ajv({ allErrors: false, strict: false, validateFormats: false, logger: false }).compile(schema)
}

/** Describes up to three errors without repeating the value, such as `channels/3 must be string`. */
export function describeFailure (errors: readonly ErrorObject[] | null | undefined): string[] {
  return errors!.slice(0, 3).map((error) => `${where(error)} ${why(error)}`.trim().slice(0, 128))
}

// Inside a record the path contains keys that the sender chose; they are sanitized and cut.
function where (error: ErrorObject): string {
  return error.instancePath.slice(1).replaceAll(/[^\w/]/g, '').slice(0, 64)
}

function why (error: ErrorObject): string {
  return error.keyword === 'additionalProperties' ? 'has an unknown property' : error.message!
}
