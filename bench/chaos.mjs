// A service of three processes, its clients and Redis under faults:
// `npm run chaos [-- --once | --minutes N] [-- --seed S] [-- --clients N] [-- --fsync always|everysec|none] [-- --json]`.
// Prints the findings for each fault. Exits with 1 if a promise was broken, or if a fault could not be played.
import { run } from './chaos/run.mjs'
import { toMarkdown, toRows } from './chaos/table.mjs'

const argument = (name, fallback) => {
  const at = process.argv.indexOf(name)
  return at < 0 ? fallback : process.argv[at + 1]
}
const isOnce = process.argv.includes('--once')
const minutes = Number(argument('--minutes', 10))
const isShort = isOnce || minutes < 3
const settings = {
  fsync: argument('--fsync', 'everysec'),
  seed: Number(argument('--seed', 1)),
  clientCount: Number(argument('--clients', isShort ? 20 : 100)),
  seconds: isOnce ? Infinity : minutes * 60,
  rounds: isOnce ? 1 : Infinity,
  perSecond: 3,
  // In a short run everything is faster, so that there is time for each fault.
  leaseMs: isShort ? 3_000 : 15_000,
  pauseMs: isOnce ? [1_000, 2_000, 5_000] : isShort ? [1_000, 4_000, 8_000] : [5_000, 20_000, 60_000],
  scale: isShort ? 0.2 : 1,
  settleMs: isShort ? 20_000 : 60_000
}
const isQuiet = process.argv.includes('--json')
const startedAt = performance.now()
const report = (text) => { if (!isQuiet) console.log(`${Math.round((performance.now() - startedAt) / 1_000)} s: ${text}`) }

// The Redis servers are ended when this process exits.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const found = await run(settings, report)
const rows = toRows(found)
const sum = (field) => rows.reduce((total, row) => total + row[field], 0)
const { differences, unsettled, missions, deaths, endings, ledgers, told, unplayed } = found
const verdict = {
  'endings lost': sum('lost') + differences.untold,
  'told twice': sum('twice'),
  'out of order': sum('order'),
  'gaps not announced': sum('holes'),
  'different pictures': differences.total,
  'endings that were never stored': unsettled,
  'processes that died by themselves': deaths.length,
  'faults that could not be played': unplayed.length
}
const examples = [
  ...unplayed, ...differences.examples, ...deaths,
  ...endings.lost.map(({ id, status, life }) => `${life.label}: the ending of ${id} as ${status} is lost`),
  ...endings.twice.map(({ id, status, life }) => `${life.label}: ${id} was also decided as ${status}`),
  ...ledgers.flatMap(({ faults }) => faults.filter(({ missionId }) => !endings.excused.has(missionId))
    .map(({ kind, what }) => `${kind}: ${what}`))
].slice(0, 20)
const isGood = Object.values(verdict).every((count) => count === 0)
if (isQuiet) console.log(JSON.stringify({ settings, missions, rows, verdict, examples, isGood }))
else {
  console.log(`\n${toMarkdown(rows)}\n\n${missions} missions, ${settings.clientCount} clients, seed ${settings.seed}`)
  console.table(verdict)
  for (const text of [...examples, ...told]) console.log(text)
}
process.exit(isGood ? 0 : 1)
