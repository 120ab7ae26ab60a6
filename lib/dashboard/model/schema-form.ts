/** A field of the form that starts a mission, from a property of a JSON Schema. */
export interface FormField {
  readonly name: string
  readonly label: string
  readonly kind: 'text' | 'number' | 'checkbox' | 'select' | 'json'
  readonly isRequired: boolean
  readonly hint: string | undefined
  readonly options: readonly string[]
  readonly initial: string | boolean
}

interface JsonSchema {
  type?: unknown
  title?: unknown
  description?: unknown
  default?: unknown
  enum?: unknown
  anyOf?: unknown
  const?: unknown
  properties?: Record<string, JsonSchema>
  required?: unknown
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** The fields for the properties of a schema; one field of JSON if it does not describe an object. */
export function fieldsOf (schema: unknown): FormField[] {
  const { properties, required } = (schema ?? {}) as JsonSchema
  if (properties === undefined) return [toField('', { title: 'Parameters' }, true)]
  const names = new Set(Array.isArray(required) ? required : [])
  return Object.entries(properties).map(([name, property]) => toField(name, property, names.has(name)))
}

function toField (name: string, schema: JsonSchema, isRequired: boolean): FormField {
  const options = optionsOf(schema)
  const kind = options.length > 0 ? 'select' : kindOf(schema)
  const { default: initial } = schema
  const typed = typeof initial === 'string' ? initial : initial === undefined ? '' : JSON.stringify(initial)
  return {
    name,
    label: text(schema.title) ?? name,
    kind,
    isRequired,
    hint: text(schema.description),
    options,
    initial: kind === 'checkbox' ? initial === true : typed
  }
}

function optionsOf (schema: JsonSchema): string[] {
  const values = Array.isArray(schema.enum)
    ? schema.enum
    : Array.isArray(schema.anyOf)
      ? schema.anyOf.map((one: JsonSchema) => one.const)
      : []
  return values.every((value) => typeof value === 'string') ? (values as string[]) : []
}

function kindOf ({ type }: JsonSchema): FormField['kind'] {
  if (type === 'string') return 'text'
  if (type === 'number' || type === 'integer') return 'number'
  return type === 'boolean' ? 'checkbox' : 'json'
}

/** The params that a form stands for. @throws SyntaxError naming the field with JSON that cannot be read */
export function readForm (fields: readonly FormField[], values: ReadonlyMap<string, string | boolean>): unknown {
  const params: Record<string, unknown> = {}
  for (const field of fields) {
    const value = readField(field, values.get(field.name) ?? field.initial)
    if (field.name === '') return value
    if (value !== undefined) params[field.name] = value
  }
  return params
}

function readField ({ kind, label, isRequired }: FormField, value: string | boolean): unknown {
  if (typeof value === 'boolean') return value
  if (value === '' && !isRequired) return undefined
  if (kind === 'number') return Number(value)
  if (kind !== 'json') return value
  try {
    return JSON.parse(value === '' ? '{}' : value) as unknown
  } catch {
    throw new SyntaxError(`${label} is not valid JSON`)
  }
}
