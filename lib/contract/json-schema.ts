import type { TSchema } from '@sinclair/typebox'

/** JSON Schema as plain data. */
export type JsonSchema = Record<string, unknown>

/** Schemas that have a name elsewhere, and the `$ref` that stands for each. */
export type References = ReadonlyMap<unknown, string>

/** References to schemas of objects by name; `at` is where their definitions stand, such as `#/definitions`. */
export function referencesTo (named: Readonly<Record<string, TSchema>>, at: string): References {
  return new Map(Object.entries(named).map(([name, schema]) => [(schema as unknown as JsonSchema)['properties'], `${at}/${name}`]))
}

/**
 * A TypeBox schema as JSON Schema (draft-07) in the forms that generators of other languages know: a union of words is one `enum`, a record
 * has `additionalProperties`, and a schema that `references` names is a `$ref`, but for the outermost.
 */
export function toJsonSchema (schema: TSchema, references: References = new Map()): JsonSchema {
  return plainObject(schema as unknown as JsonSchema, references)
}

/** The name of a type for a word of the wire: `mission_update` becomes `MissionUpdate`. */
export const pascal = (name: string): string => name.split('_').map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')

function plain (value: unknown, references: References): unknown {
  if (Array.isArray(value)) return value.map((one) => plain(one, references))
  if (typeof value !== 'object' || value === null) return value
  // An optional schema is a copy of the one it is made of, with the same properties.
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
  return words.every((word) => typeof word === 'string') ? { type: 'string', enum: words } : { anyOf: flat }
}

function record (patterns: JsonSchema, references: References): JsonSchema {
  const all = patterns['^(.*)$']
  if (all === undefined || Object.keys(patterns).length > 1) return { patternProperties: plainValues(patterns, references) }
  return { additionalProperties: plain(all, references) }
}
