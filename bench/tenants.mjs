// What tenants cost in memory, and whether the time of an answer tells that a mission exists:
// `npm run bench:tenants [-- --json]`. Exits with 1 if a figure exceeds its bound.
import { once } from 'node:events'
import Fastify from 'fastify'
import { WebSocket } from 'ws'
import missionControl from '../dist/lib/index.js'

const TRIES = 2_000
const TENANTS_PER_ROUND = 10_000
const ROUNDS = 12

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]

async function openService () {
  const app = Fastify()
  await app.register(missionControl, {
    websocket: { maxMessagesPerSecond: 100_000 },
    access: { identify: ({ query: { tenant } }) => ({ id: 'bench', tenant }) }
  })
  app.missions.handle({ cancel: {} })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app
}

/** Median times of the answers to `mission_get` and `mission_cancel`, for missions of others and unknown ones in turn. */
async function answers () {
  const app = await openService()
  const ids = { foreign: [], unknown: [] }
  for (let at = 0; at < TRIES; at++) {
    ids.foreign.push(app.missions.start({ name: 'job', tenant: 'other' }).id)
    ids.unknown.push(`mission_${crypto.randomUUID()}`)
  }
  const client = new WebSocket(`ws://127.0.0.1:${app.server.address().port}/ws/mission-control?tenant=own`)
  await once(client, 'open')
  const ask = async (message) => {
    const startedAt = performance.now()
    client.send(JSON.stringify(message))
    await once(client, 'message')
    return performance.now() - startedAt
  }
  const ratios = {}
  for (const type of ['mission_get', 'mission_cancel']) {
    const times = { foreign: [], unknown: [] }
    for (let at = -200; at < TRIES; at++) {
      // Neither of the two is always the first one.
      for (const kind of at % 2 === 0 ? ['foreign', 'unknown'] : ['unknown', 'foreign']) {
        const time = await ask({ type, missionId: ids[kind][Math.max(0, at)] })
        if (at >= 0) times[kind].push(time)
      }
    }
    ratios[type] = Math.round(median(times.foreign) / median(times.unknown) * 1_000) / 1_000
  }
  client.terminate()
  await app.close()
  return ratios
}

/** Heap after each round of 10,000 new tenants with one mission each, in MB. */
async function memory () {
  const app = await openService()
  const heap = []
  for (let round = 0; round < ROUNDS; round++) {
    for (let at = 0; at < TENANTS_PER_ROUND; at++) {
      app.missions.start({ name: 'job', tenant: `tenant ${round} ${at}` }).complete()
      if (at % 1_000 === 0) await new Promise((resolve) => { setImmediate(resolve) })
    }
    global.gc()
    heap.push(Math.round(process.memoryUsage().heapUsed / 1e5) / 10)
  }
  await app.close()
  return heap
}

const result = { answers: await answers(), heapMb: await memory() }
const half = result.heapMb.length >> 1
const grown = Math.max(...result.heapMb.slice(half)) - result.heapMb[half - 1]
const bounds = [
  ...Object.entries(result.answers).map(([type, ratio]) => ({
    name: `${type}: median time of a foreign mission / an unknown one, distance from 1`,
    value: Math.round(Math.abs(ratio - 1) * 1_000) / 1_000,
    bound: 0.05
  })),
  { name: 'heap: growth in the second half, MB', value: Math.round(grown * 10) / 10, bound: 2 }
]
result.bounds = bounds.map((one) => ({ ...one, holds: one.value <= one.bound }))
if (process.argv.includes('--json')) console.log(JSON.stringify(result))
else {
  console.log(result.answers, result.heapMb)
  console.table(result.bounds)
}
process.exitCode = result.bounds.every(({ holds }) => holds) ? 0 : 1
