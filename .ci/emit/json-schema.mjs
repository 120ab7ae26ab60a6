/**
 * JSON Schema of all messages of one side: one named definition per message, and `oneOf` over them. `messages` maps the wire's `type` to a
 * TypeBox schema. The dialect is draft-07, which the code generators of most languages read.
 */
export function messagesSchema (side, messages, { toJsonSchema, pascal }) {
  const named = Object.entries(messages).map(([type, schema]) => [`${pascal(type)}Message`, schema])
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: `urn:fastify-mission-control:${side}-messages`,
    title: `${pascal(side)}Message`,
    oneOf: named.map(([name]) => ({ $ref: `#/definitions/${name}` })),
    definitions: Object.fromEntries(named.map(([name, schema]) => [name, { title: name, ...toJsonSchema(schema) }]))
  }
}

/** JSON Schema of the queries and answers of the HTTP routes, one named definition each. `schemas` maps a name to a TypeBox schema. */
export function httpSchema (schemas, { toJsonSchema, referencesTo }) {
  const references = referencesTo(schemas, '#/definitions')
  const names = Object.keys(schemas).sort()
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: 'urn:fastify-mission-control:http',
    title: 'Http',
    definitions: Object.fromEntries(names.map((name) => [name, { title: name, ...toJsonSchema(schemas[name], references) }]))
  }
}
