// The path of one report: the source files and the number of function calls from `progress()` with one subscriber to
// the write on the socket, counted with V8's precise coverage. Only functions of this package are counted.
//
//   npm run bench:report-path          counts of this build
//   DIST=../other/dist node bench/report-path.mjs   counts of another build
import { Session } from 'node:inspector/promises'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import Fastify from 'fastify'
import { WebSocket } from 'ws'

const REPORTS = 50
const dist = pathToFileURL(resolve(process.env.DIST ?? 'dist')).href
const { default: missionControl } = await import(`${dist}/lib/index.js`)

const app = Fastify()
await app.register(missionControl, { missions: { maxProgressPerSecond: 1_000 } })
await app.listen({ port: 0, host: '127.0.0.1' })
const { port } = app.server.address()
const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/mission-control`)
await once(socket, 'open')

let received = 0
socket.on('message', (data) => { if (JSON.parse(data).payload?.progress !== undefined) received++ })
socket.send(JSON.stringify({ type: 'subscribe', channels: ['mission_update'] }))
await once(socket, 'message')

const mission = app.missions.start('counted')
mission.executionStarted()
let index = 0
const report = async () => {
  const before = received
  mission.progress({ taskId: 'rows', index: ++index, total: 1_000_000, status: 'running' })
  // eslint-disable-next-line no-unmodified-loop-condition -- changed by the listener of the socket
  while (received === before) await new Promise((resolve) => setTimeout(resolve, 2))
}
for (let i = 0; i < 20; i++) await report()

const session = new Session()
session.connect()
await session.post('Profiler.enable')

/** Function calls during `run`, by file. */
async function count (run) {
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await run()
  const { result } = await session.post('Profiler.takePreciseCoverage')
  await session.post('Profiler.stopPreciseCoverage')
  const calls = new Map()
  for (const { url, functions } of result) {
    if (!url.startsWith(dist)) continue
    const sum = functions.reduce((total, { ranges: [{ count }] }) => total + count, 0)
    if (sum > 0) calls.set(url.slice(dist.length + 1), sum)
  }
  return calls
}

const byFile = await count(async () => { for (let i = 0; i < REPORTS; i++) await report() })
// Functions that run less than once per report belong to timers of the plugin.
const rows = [...byFile].map(([file, calls]) => [file, calls / REPORTS]).filter(([, calls]) => calls >= 0.9)
rows.sort((a, b) => b[1] - a[1])
for (const [file, calls] of rows) console.log(`${calls.toFixed(1).padStart(6)}  ${file}`)
console.log(`${rows.length} files, ${rows.reduce((sum, [, calls]) => sum + calls, 0).toFixed(1)} calls per report`)
socket.terminate()
await app.close()
