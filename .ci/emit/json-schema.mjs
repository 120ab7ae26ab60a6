/**
 * JSON Schema (draft-07, which the generators of most languages read) of all messages of one side: one named definition
 * a message, and `oneOf` over them. `messages` maps the wire's `type` to a TypeBox schema.
 */
export function messagesSchema (side, messages) {
  const named = Object.entries(messages).map(([type, schema]) => [`${pascal(type)}Message`, schema])
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: `urn:fastify-mission-control:${side}-messages`,
    title: `${pascal(side)}Message`,
    oneOf: named.map(([name]) => ({ $ref: `#/definitions/${name}` })),
    definitions: Object.fromEntries(named.map(([name, schema]) => [name, { title: name, ...plain(schema) }]))
  }
}

const pascal = (name) => name.split('_').map((word) => word[0].toUpperCase() + word.slice(1)).join('')

// TypeBox writes a union of words and a record in forms that generators turn into one type a word and into no type.
function plain (value) {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const { anyOf, patternProperties, ...rest } = value
  return {
    ...mapValues(rest),
    ...(anyOf && (words(anyOf) ?? { anyOf: plain(anyOf) })),
    ...(patternProperties && (record(patternProperties) ?? { patternProperties: mapValues(patternProperties) }))
  }
}

const mapValues = (object) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, plain(value)]))

function words (branches) {
  const flat = branches.map(plain).map((branch) => branch.enum ?? [branch.const])
  if (!flat.flat().every((word) => typeof word === 'string')) return undefined
  return { type: 'string', enum: flat.flat() }
}

function record (patterns) {
  const all = patterns['^(.*)$']
  if (all === undefined || Object.keys(patterns).length > 1) return undefined
  return { additionalProperties: plain(all) }
}
