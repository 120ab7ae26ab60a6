/** Every option as a dotted path; `environment` maps a variable to the path of the option it stands in for. */
export function optionsTable (options, environment, describeBounds) {
  const variables = new Map(Object.entries(environment).map(([variable, path]) => [path.join('.'), variable]))
  const rows = leaves(options).map(({ path, schema }) => {
    const variable = variables.get(path)
    const stands = variable === undefined ? '' : ` Environment: ${code(variable)}.`
    return [code(path), defaultOf(schema), bounds(schema, describeBounds), `${required(schema.description, path)}${stands}`]
  })
  return table(['Option', 'Default', 'Accepts', 'What it is for'], rows)
}

/** Codes and what each tells. */
export function codesTable (codes) {
  return table(['Code', 'Meaning'], Object.entries(codes).map(([name, meaning]) => [code(name), meaning]))
}

/** The checks of the conformance program and what each demands. */
export function checksTable (checks) {
  return table(['Check', 'What it demands'], checks.map(({ name, demands }) => [code(name), demands]))
}

export function closeCodesTable (codes) {
  const rows = Object.entries(codes).map(([reason, { code: number, reconnect, meaning }]) =>
    [String(number), code(reason), reconnect, meaning])
  return table(['Code', 'Reason', 'Reconnect', 'Meaning'], rows)
}

/** Every error class that `errors` exports; what each means is its doc comment in `declarations`, the text of the `.d.ts`. */
export function errorsTable (errors, declarations) {
  const rows = Object.entries(errors)
    .filter(([, value]) => value?.prototype instanceof Error)
    .map(([name, FastifyError]) => {
      const error = new FastifyError()
      return [code(error.code), String(error.statusCode), required(docComment(declarations, name), name), code(error.message)]
    })
  return table(['Code', 'Status', 'When', 'Message'], rows.sort(([a], [b]) => a < b ? -1 : 1))
}

function leaves (schema, path = []) {
  if (schema.properties === undefined) return [{ path: path.join('.'), schema }]
  return Object.entries(schema.properties).flatMap(([key, child]) => leaves(child, [...path, key]))
}

function defaultOf (schema) {
  if (schema.default === undefined) return 'none'
  if (typeof schema.default === 'number') return code(String(schema.default).replace(/\B(?=(\d{3})+$)/g, '_'))
  return code(typeof schema.default === 'string' ? `'${schema.default}'` : JSON.stringify(schema.default))
}

// A pattern is full of characters that Markdown would take for its own.
function bounds (schema, describeBounds) {
  const words = describeBounds(schema)
  return schema.pattern === undefined ? words : words.replace(schema.pattern, () => code(schema.pattern))
}

function docComment (declarations, name) {
  const [before] = declarations.split(`export declare const ${name}:`)
  const comment = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s*$/.exec(before)
  return comment?.[1].replace(/^\s*\*?/gm, '').replace(/\s+/g, ' ').trim()
}

function required (text, name) {
  if (!text) throw new Error(`${name} has no description; every row of a table needs one`)
  return text
}

const code = (text) => `\`${text}\``

function table (header, rows) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n')
}
