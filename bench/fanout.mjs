// The cost of a broadcast: `npm run bench:fanout [-- --json | --markdown] [-- --quick] [-- --only PART,PART]`.
// Prints tables, one JSON object (`--json`) or the tables of README.md (`--markdown`). Exits with 1 if a figure exceeds
// its bound.
import { cpus } from 'node:os'
import { BOUNDS } from './fanout/bounds.mjs'
import * as longParts from './fanout/long-parts.mjs'
import { toMarkdown } from './fanout/markdown.mjs'
import * as shortParts from './fanout/parts.mjs'

const PARTS = ['rows', 'tenants', 'compression', 'idleConnection', 'scaling', 'unlistened', 'frozen', 'sustained', 'tenThousand']
const parts = { ...shortParts, ...longParts }

const has = (flag) => process.argv.includes(flag)
const isQuick = has('--quick')
const only = has('--only') ? (process.argv[process.argv.indexOf('--only') + 1] ?? '').split(',') : PARTS
const unknown = only.filter((name) => !PARTS.includes(name))
if (unknown.length > 0) throw new Error(`unknown part ${unknown.join(', ')}; use ${PARTS.join(', ')}`)

const isQuiet = has('--json') || has('--markdown')
const report = (what) => {
  if (isQuiet) return
  if (typeof what === 'string') console.log(what)
  else console.table(what)
}

const result = { machine: { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length }, isQuick }
const bounds = []
for (const part of PARTS.filter((name) => only.includes(name))) {
  report(`... ${part}`)
  result[part] = await parts[part]({ isQuick })
  report(result[part])
  // A bound does not hold if its figure is NaN.
  for (const [name, value, bound] of BOUNDS[part](result[part])) {
    bounds.push({ name, value, bound, holds: value <= bound })
  }
}
result.bounds = bounds
report(bounds)
if (has('--json')) console.log(JSON.stringify(result))
if (has('--markdown')) console.log(toMarkdown(result))
process.exitCode = bounds.every(({ holds }) => holds) ? 0 : 1
