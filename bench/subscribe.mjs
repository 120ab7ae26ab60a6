// Many clients that subscribe to `mission_update` in the same moment: the CPU time and the memory of the server until
// each one has received the snapshot of all active missions.
//
//   npm run bench:subscribe                         this build
//   DIST=../before/dist node bench/subscribe.mjs    another build
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import Fastify from 'fastify'

const CLIENTS = 1_000
const MISSIONS = 1_000
const ROUNDS = 3
const SAMPLE_MS = 5

const SCENARIOS = {
  'no change meanwhile': {},
  '5,000 reports a second': { reportsPerSecond: 5_000 },
  'metadata of 2,000 bytes': { metadata: true },
  'metadata of 2,000 bytes, compressed': { metadata: true, compression: true }
}

const TEXT = Array.from({ length: 250 }, (_, at) => (at * 7_919 % 46_656).toString(36)).join('-').slice(0, 2_000)

/** The server: starts missions, then measures itself between two messages of its parent. */
async function serve ({ reportsPerSecond = 0, metadata = false, compression = false }) {
  const dist = pathToFileURL(resolve(process.env.DIST ?? 'dist')).href
  const { default: missionControl } = await import(`${dist}/lib/index.js`)
  const app = Fastify()
  const websocket = { compression, maxConnectionsPerSecond: 100_000, maxConnections: 100_000 }
  await app.register(missionControl, { websocket })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const missions = Array.from({ length: MISSIONS }, (_, at) => app.missions.start({
    name: `mission ${at}`,
    tags: ['bench'],
    ...(metadata && { metadata: { text: TEXT } })
  }))
  for (const mission of missions) mission.executionStarted()
  let index = 0
  const report = () => {
    for (let i = 0; i < reportsPerSecond / 200; i++) {
      missions[index++ % MISSIONS].progress({ taskId: 'rows', index, total: 1e9, status: 'running' })
    }
  }
  if (reportsPerSecond > 0) setInterval(report, 5)
  let cpu, peak, sampler
  process.on('message', (what) => {
    if (what === 'begin') {
      globalThis.gc()
      const idle = process.memoryUsage().rss
      cpu = process.cpuUsage()
      peak = 0
      sampler = setInterval(() => { peak = Math.max(peak, process.memoryUsage().rss - idle) }, SAMPLE_MS)
      process.send('begun')
    } else {
      clearInterval(sampler)
      const { user, system } = process.cpuUsage(cpu)
      process.send({ cpuMs: Math.round((user + system) / 1_000), peakMiB: Math.round(peak / 1_048_576) })
    }
  })
  process.send(app.server.address().port)
}

/** A client that counts the frames that it receives. */
async function open (port, compression) {
  const socket = connect(port, '127.0.0.1')
  const extension = compression ? 'Sec-WebSocket-Extensions: permessage-deflate\r\n' : ''
  socket.write('GET /ws/mission-control HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${extension}\r\n`)
  const [head] = await once(socket, 'data')
  if (String(head).startsWith('HTTP/1.1 101')) return socket
  // The server refuses connections for a moment while its event loop is behind.
  await setTimeout(500)
  return await open(port, compression)
}

async function receive (socket, frames) {
  const payload = JSON.stringify({ type: 'subscribe', channels: ['mission_update'] })
  const header = Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0])
  let rest = Buffer.alloc(0)
  let count = 0
  await new Promise((resolve) => {
    socket.on('data', (chunk) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let at = 0
      for (;;) {
        const length = rest[at + 1]
        const bytes = length < 126 ? 2 + length : at + 4 <= rest.length ? 4 + rest.readUInt16BE(at + 2) : Infinity
        if (at + 2 > rest.length || at + bytes > rest.length) break
        at += bytes
        count++
      }
      rest = rest.subarray(at)
      if (count >= frames) resolve()
    })
    socket.write(Buffer.concat([header, Buffer.from(payload)]))
  })
}

async function measure (name, scenario) {
  const server = fork(fileURLToPath(import.meta.url), [name], { execArgv: ['--expose-gc'] })
  const [port] = await once(server, 'message')
  const results = []
  for (let round = 0; round < ROUNDS; round++) {
    const sockets = []
    for (let at = 0; at < CLIENTS; at += 100) {
      sockets.push(...await Promise.all(Array.from({ length: 100 }, () => open(port, scenario.compression))))
    }
    server.send('begin')
    await once(server, 'message')
    await Promise.all(sockets.map((socket) => receive(socket, 1 + MISSIONS)))
    server.send('end')
    const [result] = await once(server, 'message')
    results.push(result)
    for (const socket of sockets) socket.destroy()
  }
  server.kill()
  const median = (key) => results.map((result) => result[key]).sort((a, b) => a - b)[Math.floor(ROUNDS / 2)]
  const cpuMs = median('cpuMs')
  const usPerMessage = Math.round(cpuMs * 100_000 / CLIENTS / MISSIONS) / 100
  return { scenario: name, cpuMs, usPerMessage, peakMiB: median('peakMiB') }
}

const asked = process.argv[2]
if (process.send !== undefined) await serve(SCENARIOS[asked])
else {
  const results = []
  for (const [name, scenario] of Object.entries(SCENARIOS)) results.push(await measure(name, scenario))
  if (asked === '--json') console.log(JSON.stringify(results))
  else console.table(results)
}
