import { Fields } from './fields.js'
import { TraceError } from './trace.js'

/**
 * The rows of a CSV text without its header, with line numbers. Quoted fields are not supported.
 *
 * @throws TraceError for a header other than `columns`, a quoted field, or a wrong number of columns
 */
export function * readRows (text: string, columns: readonly string[]): Generator<Fields> {
  const [header, ...lines] = text.split(/\r?\n/)
  if (header !== columns.join(',')) throw new TraceError(1, `the header must be ${columns.join(',')}`)
  if (lines.at(-1) === '') lines.pop()
  for (const [at, line] of lines.entries()) yield readRow(line, at + 2, columns)
}

function readRow (line: string, number: number, columns: readonly string[]): Fields {
  if (line.includes('"')) throw new TraceError(number, 'quoted fields are not supported')
  const values = line.split(',')
  if (values.length !== columns.length) {
    throw new TraceError(number, `${values.length} columns instead of ${columns.length}`)
  }
  return new Fields(Object.fromEntries(columns.map((column, at) => [column, values[at]])), number)
}
