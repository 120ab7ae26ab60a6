// What it costs to tell everybody: `npm run bench:fanout [-- --json] [-- --quick] [-- --only PART]`. With `--json` it prints one object and
// nothing else; without, a table. It exits with 1 if a figure is beyond its bound.
import { cpus } from 'node:os'
import * as parts from './fanout/parts.mjs'

const PARTS = ['rows', 'compression', 'idleConnection', 'scaling', 'unlistened', 'frozen', 'sustained', 'tenThousand']

const isJson = process.argv.includes('--json')
const isQuick = process.argv.includes('--quick')
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1].split(',') : PARTS

const ratio = (a, b) => Math.round(a / b * 1_000) / 1_000

/** Bounds on the figures of each part; they hold for full runs on a quiet machine. */
const BOUNDS = {
  rows (rows) {
    const of = Object.fromEntries(rows.map((row) => [row.name, row]))
    return [
      ['burst 10: plugin / Socket.IO', ratio(of.plugin.burst10Us, of.socketIo.burst10Us), 0.125],
      ['burst 10: plugin / bare net, joined', ratio(of.plugin.burst10Us, of.netJoined.burst10Us), 1.25],
      ['burst 1: plugin / Socket.IO', ratio(of.plugin.burst1Us, of.socketIo.burst1Us), 0.75],
      ['burst 1: plugin / bare net', ratio(of.plugin.burst1Us, of.net.burst1Us), 1.15]
    ]
  },
  compression: ({ pluginUs, wsUs }) => [['compressed broadcast: plugin / ws', ratio(pluginUs, wsUs), 0.25]],
  idleConnection: ({ pluginBytes, compressedBytes, socketIoBytes }) => [
    ['idle connection: plugin / Socket.IO', ratio(pluginBytes, socketIoBytes), 1],
    ['idle connection: compressed / plain', ratio(compressedBytes, pluginBytes), 1.1]
  ],
  scaling: (byCount) => [['cost of a delivery, 100 to 5,000 subscribers: largest / smallest', ratio(Math.max(...Object.values(byCount)), Math.min(...Object.values(byCount))), 1.3]],
  unlistened: ({ ns }) => [['a publication nobody listens to, ns', ns, 1_000]],
  frozen: ({ grownMb, secondHalfGrownMb, missing, healthyP99Ms, aloneP99Ms }) => [
    ['frozen clients: memory, MB', grownMb, 150],
    ['frozen clients: growth in the second half, MB', secondHalfGrownMb, 10],
    ['healthy client beside frozen ones: missing', missing, 0],
    // Ages are whole ms: one that is none counts as one.
    ['healthy client: p99 beside frozen / alone', ratio(Math.max(1, healthyP99Ms), Math.max(1, aloneP99Ms)), 2]
  ],
  sustained: ({ missing, p99Ms, lagMaxMs }) => [['sustained: missing', missing, 0], ['sustained: p99, ms', p99Ms, 100], ['sustained: largest lag of the loop, ms', lagMaxMs, 100]],
  tenThousand: ({ connections, alive, rssMb }) => [['idle connections that died', connections - alive, 0], ['idle connections: memory, MB', rssMb, 250]]
}

const result = { machine: { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length } }
const bounds = []
for (const part of PARTS.filter((name) => only.includes(name))) {
  if (!isJson) console.log(`... ${part}`)
  result[part] = await parts[part]({ isQuick })
  if (!isJson) Array.isArray(result[part]) ? console.table(result[part]) : console.log(result[part])
  for (const [name, value, bound] of BOUNDS[part](result[part])) bounds.push({ name, value, bound, holds: value <= bound })
}
result.bounds = bounds
if (isJson) console.log(JSON.stringify(result))
else console.table(bounds)
process.exitCode = bounds.every(({ holds }) => holds) ? 0 : 1
