// The cost of hostile clients: `npm run build && node bench/hostile.mjs [--json] [part of a scenario's title…]`.
// The server, the attackers and the measuring client are three processes. Exits with 1 if a figure exceeds its bound.
import { cpus, loadavg, totalmem } from 'node:os'
import { performance } from 'node:perf_hooks'
import { timeRegexes } from './hostile/regexes.mjs'
import { SCENARIOS } from './hostile/scenarios.mjs'

/** A scenario that takes longer has failed. */
const SCENARIO_LIMIT_MS = 60_000

const args = process.argv.slice(2)
const isJson = args.includes('--json')
const wanted = args.filter((arg) => arg !== '--json')
const machine = {
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGb: Math.round(totalmem() / 1e9),
  loadBefore: Math.round(loadavg()[0] * 10) / 10
}
const startedMs = performance.now()
const figures = []

for (const [title, run] of Object.entries({ ...SCENARIOS, 'regular expressions': measureRegexes })) {
  if (wanted.length > 0 && !wanted.some((part) => title.includes(part))) continue
  if (!isJson) console.error(`… ${title}`)
  for (const one of await within(title, run)) figures.push({ scenario: title, ...one })
}

const durationMs = Math.round(performance.now() - startedMs)
if (isJson) console.log(JSON.stringify({ machine, durationMs, figures }))
else print()
process.exit(figures.every(({ holds }) => holds) ? 0 : 1)

async function measureRegexes () {
  const { count, tookMs, pattern } = timeRegexes()
  const name = `${count} regular expressions on texts of 100 kB: slowest search, ${pattern}`
  return [{ name, value: Math.round(tookMs * 100) / 100, unit: 'ms', bound: 50, holds: tookMs <= 50 }]
}

async function within (title, run) {
  let timer
  const late = new Promise((resolve, reject) => {
    const error = new Error(`${title}: did not end within ${SCENARIO_LIMIT_MS} ms`)
    timer = setTimeout(() => reject(error), SCENARIO_LIMIT_MS)
  })
  try {
    return await Promise.race([run(), late])
  } catch (err) {
    return [{ name: String(err.message), value: NaN, unit: '', bound: '', holds: false }]
  } finally {
    clearTimeout(timer)
  }
}

function print () {
  console.log('| figure | measured | bound | |\n|---|---|---|---|')
  for (const { name, value, unit, bound, holds } of figures) {
    const verdict = bound === undefined ? '' : holds ? 'holds' : '**does not hold**'
    console.log(`| ${name} | ${value} ${unit} | ${renderBound(bound, unit)} | ${verdict} |`)
  }
  const bounded = figures.filter(({ bound }) => bound !== undefined)
  const { node, cores, cpu, memoryGb, loadBefore } = machine
  console.log(`\n${bounded.filter(({ holds }) => holds).length} of ${bounded.length} bounds hold; ` +
    `${(durationMs / 1_000).toFixed(0)} s; Node ${node}, ${cores} x ${cpu}, ${memoryGb} GB, load before ${loadBefore}`)
}

function renderBound (bound, unit) {
  if (bound === undefined) return ''
  return typeof bound === 'number' && unit !== '' ? `<= ${bound} ${unit}` : String(bound)
}
