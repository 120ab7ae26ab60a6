/**
 * One table for each group of options, every option as a dotted path. `environment` maps a variable to the path of the option that it sets.
 */
export function optionsTables (options, environment, describeBounds) {
  const variables = new Map(Object.entries(environment).map(([variable, path]) => [path.join('.'), variable]))
  const toRow = ({ path, schema }) => {
    const variable = variables.get(path)
    const suffix = variable === undefined ? '' : ` Environment: ${code(variable)}.`
    return [code(path), defaultOf(schema), bounds(schema, describeBounds), `${required(schema.description, path)}${suffix}`]
  }
  const header = ['Option', 'Default', 'Accepts', 'What it does']
  return groups(options).map(({ title, rows }) => `### ${title}\n\n${table(header, rows.map(toRow))}`).join('\n\n')
}

/** The options of each alert rule; `common` are the options shared by all rules. */
export function ruleOptionsTable (rules, common) {
  const toRow = (rule, [name, schema]) => [rule === 'all' ? rule : code(rule), code(name), defaultOf(schema), required(schema.description, name)]
  const isOwn = ([name, schema]) => !(name in common.properties) || schema.default !== common.properties[name].default
  const rows = Object.entries(rules.properties).flatMap(([rule, { properties }]) =>
    Object.entries(properties).filter(isOwn).map((entry) => toRow(rule, entry)))
  const all = Object.entries(common.properties).map((entry) => toRow('all', entry))
  return table(['Rule', 'Option', 'Default', 'What it does'], [...rows, ...all])
}

/** The options of one group that has a table of its own. */
export function groupOptionsTable ({ properties }) {
  const options = Object.entries(properties).flatMap(([name, schema]) => leaves(schema, [name]))
  const toRow = ({ path, schema }) => [code(path), defaultOf(schema), required(schema.description, path)]
  return table(['Option', 'Default', 'What it does'], options.map(toRow))
}

/** Error codes and their meaning. */
export function codesTable (codes) {
  return table(['Code', 'Meaning'], Object.entries(codes).map(([name, meaning]) => [code(name), meaning]))
}

/** The checks of the conformance program and what each one demands. */
export function checksTable (checks) {
  return table(['Check', 'What it demands'], checks.map(({ name, demands }) => [code(name), demands]))
}

/** The close codes, their reasons, and whether a client reconnects. */
export function closeCodesTable (codes) {
  const rows = Object.entries(codes).map(([reason, { code: number, reconnect, meaning }]) =>
    [String(number), code(reason), reconnect, meaning])
  return table(['Code', 'Reason', 'Reconnect', 'Meaning'], rows)
}

/** Every error class that `errors` exports. Its meaning is its doc comment in `declarations`, the text of the `.d.ts`. */
export function errorsTable (errors, declarations) {
  const rows = Object.entries(errors)
    .filter(([, value]) => value?.prototype instanceof Error)
    .map(([name, FastifyError]) => {
      const error = new FastifyError()
      return [code(error.code), String(error.statusCode), required(docComment(declarations, name), name), code(error.message)]
    })
  return table(['Code', 'Status', 'When', 'Message'], rows.sort(([a], [b]) => a < b ? -1 : 1))
}

// Options outside of a group come first.
function groups (options) {
  const entries = Object.entries(options.properties)
  const isGroup = ([, schema]) => schema.properties !== undefined
  const general = entries.filter((entry) => !isGroup(entry)).flatMap(([name, schema]) => leaves(schema, [name]))
  const named = entries.filter(isGroup).map(([name, schema]) => ({ title: code(name), rows: leaves(schema, [name]) }))
  return [{ title: 'General', rows: general }, ...named]
}

function leaves (schema, path) {
  if (schema.properties === undefined || schema.expected !== undefined) return [{ path: path.join('.'), schema }]
  return Object.entries(schema.properties).flatMap(([key, child]) => leaves(child, [...path, key]))
}

function defaultOf (schema) {
  if (schema.default === undefined) return 'none'
  if (typeof schema.default === 'number') return code(String(schema.default).replace(/\B(?=(\d{3})+$)/g, '_'))
  return code(typeof schema.default === 'string' ? `'${schema.default}'` : JSON.stringify(schema.default))
}

// Markdown would read the special characters of a bare pattern.
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

export const code = (text) => `\`${text}\``

export function table (header, rows) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n')
}
