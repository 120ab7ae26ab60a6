import type { TSchema } from '@sinclair/typebox'

/** JSON Schema as plain data. */
export type JsonSchema = Record<string, unknown>

/** The `$ref` of each schema that is defined elsewhere under a name. */
export type References = ReadonlyMap<unknown, string>

/** References to named object schemas; `at` is the path of their definitions, such as `#/definitions`. */
export function referencesTo (named: Readonly<Record<string, TSchema>>, at: string): References {
  return new Map(Object.entries(named).map(([name, schema]) =>
    [(schema as unknown as JsonSchema)['properties'], `${at}/${name}`]))
}

/**
 * Converts a TypeBox schema to JSON Schema (draft-07) in the forms that code generators support: a union of strings
 * becomes one `enum`, a record `additionalProperties`, and a schema that is in `references` a `$ref`. The outermost
 * schema never becomes a `$ref`.
 */
export function toJsonSchema (schema: TSchema, references: References = new Map()): JsonSchema {
  return plainObject(schema as unknown as JsonSchema, references)
}

/** Converts a name from the wire to a type name: `mission_update` becomes `MissionUpdate`. */
export const pascal = (name: string): string =>
  name.split('_').map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')

function plain (value: unknown, references: References): unknown {
  if (Array.isArray(value)) return value.map((one) => plain(one, references))
  if (typeof value !== 'object' || value === null) return value
  // TypeBox copies a schema to make it optional, but the copy shares `properties` with the original.
  const reference = references.get((value as JsonSchema)['properties'])
  return reference === undefined ? plainObject(value as JsonSchema, references) : { $ref: reference }
}

function plainObject ({ anyOf, patternProperties, ...rest }: JsonSchema, references: References): JsonSchema {
  return {
    ...plainValues(rest, references),
    ...(anyOf !== undefined && union(anyOf as JsonSchema[], references)),
    ...(patternProperties !== undefined && record(patternProperties as JsonSchema, references))
  }
}

const plainValues = (object: JsonSchema, references: References): JsonSchema =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, plain(value, references)]))

function union (branches: readonly JsonSchema[], references: References): JsonSchema {
  const flat = branches.map((branch) => plain(branch, references) as JsonSchema)
  const words = flat.flatMap((branch) => branch['enum'] ?? [branch['const']])
  const isEnum = words.every((word) => typeof word === 'string')
  return isEnum ? { type: 'string', enum: words } : { anyOf: flat }
}

function record (patterns: JsonSchema, references: References): JsonSchema {
  const all = patterns['^(.*)$']
  if (all === undefined || Object.keys(patterns).length > 1) {
    return { patternProperties: plainValues(patterns, references) }
  }
  return { additionalProperties: plain(all, references) }
}
