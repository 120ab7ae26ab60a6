// Several processes on one Redis: `npm run bench:backplane [-- --json] [-- --short] [-- --only PART,PART]`.
// Prints tables, or one JSON object (`--json`). Exits with 1 if a figure exceeds its bound.
import { cpus } from 'node:os'
import { BOUNDS } from './backplane/bounds.mjs'
import * as comparison from './backplane/comparison.mjs'
import * as alone from './backplane/parts.mjs'

const PARTS = ['latency', 'sustained', 'own', 'everybody', 'calls', 'memory', 'start', 'idle']
const parts = { ...alone, ...comparison }

const has = (flag) => process.argv.includes(flag)
const isShort = has('--short')
const only = has('--only') ? (process.argv[process.argv.indexOf('--only') + 1] ?? '').split(',') : PARTS
const unknown = only.filter((name) => !PARTS.includes(name))
if (unknown.length > 0) throw new Error(`unknown part ${unknown.join(', ')}; use ${PARTS.join(', ')}`)

const report = (what) => {
  if (has('--json')) return
  if (typeof what === 'string') console.log(what)
  else console.table(what)
}

// The Redis servers are ended when this process exits.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const result = { machine: { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length }, isShort }
const bounds = []
for (const part of PARTS.filter((name) => only.includes(name))) {
  report(`... ${part}`)
  result[part] = await parts[part]({ isShort })
  report(result[part])
  // A bound does not hold if its figure is NaN.
  for (const [name, value, bound] of BOUNDS[part](result[part])) {
    bounds.push({ name, value, bound, holds: value <= bound })
  }
}
result.bounds = bounds
report(bounds)
if (has('--json')) console.log(JSON.stringify(result))
process.exitCode = bounds.every(({ holds }) => holds) ? 0 : 1
