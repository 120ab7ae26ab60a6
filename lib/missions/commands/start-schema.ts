/** A larger schema is not sent: every answer to `whoami` contains it. */
const MAX_SCHEMA_BYTES = 8_192

/** A copy of a schema as JSON; `undefined` if it is too large, or is no JSON object. */
export function toStartSchema (schema: object): Record<string, unknown> | undefined {
  try {
    const text = JSON.stringify(schema)
    if (Buffer.byteLength(text) > MAX_SCHEMA_BYTES) return undefined
    const copy: unknown = JSON.parse(text)
    return typeof copy === 'object' && copy !== null && !Array.isArray(copy) ? { ...copy } : undefined
  } catch {
    // It contains itself, or a value that JSON does not have. Validation still works.
    return undefined
  }
}
