// Four workers of node:cluster share one port, and through Redis one picture of all missions: whichever worker answers,
// it lists the missions of all, and can cancel them.
//
//   npm i fastify fastify-mission-control ioredis
//   redis-server
//   npm run build:examples && node .examples/cluster.js
//
// The port is 3000 (set PORT for another one), Redis is on 127.0.0.1:6379 (set REDIS_PORT for another port). It runs
// until Ctrl-C. Kill a worker with `kill -9 PID`: its mission ends as `process_lost`, and another worker takes its
// place.
//
//   curl -i localhost:3000/missions
import cluster from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import missionControl, { type Mission } from 'fastify-mission-control'
import { redisBackplane } from 'fastify-mission-control/redis'
import { interruption, readWholeNumber, runProgram } from './flags.js'
import { findRedis } from './redis.js'

const WORKERS = 4
/** The shortest lease: a killed worker is noticed after three to five seconds. */
const LEASE_MS = 3_000

/** The work of each worker: it counts until it is cancelled. */
async function count (mission: Mission): Promise<never> {
  for (let seconds = 1; ; seconds++) {
    mission.progress({ index: seconds, status: 'counting' })
    await sleep(1_000, undefined, { signal: mission.signal })
  }
}

async function serve (url: string, port: number, signal: AbortSignal): Promise<void> {
  const app = Fastify({ forceCloseConnections: true })
  // Shows which worker has answered.
  app.addHook('onSend', async (_request, reply) => { reply.header('x-worker', process.pid) })
  await app.register(missionControl, {
    server: { name: 'counters', version: '1.0.0' },
    routes: { missions: '/missions' },
    backplane: redisBackplane({ client: url, namespace: 'counters', leaseMs: LEASE_MS })
  })
  app.missions.handle({ cancel: {} })
  await app.listen({ host: '127.0.0.1', port })
  app.missions.spawn({ name: `worker ${process.pid}`, tags: ['counter'] }, count)
  console.log(`worker ${process.pid} listens on http://127.0.0.1:${port}`)
  if (!signal.aborted) await once(signal, 'abort')
  await app.close()
  process.disconnect()
}

async function lead (signal: AbortSignal): Promise<void> {
  cluster.on('exit', (worker) => {
    if (!signal.aborted && !worker.exitedAfterDisconnect) cluster.fork()
  })
  for (let worker = 0; worker < WORKERS; worker++) cluster.fork()
  if (!signal.aborted) await once(signal, 'abort')
  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGTERM')
}

await runProgram('Usage: node .examples/cluster.js', async () => {
  const signal = interruption()
  const port = readWholeNumber('PORT', process.env['PORT'] ?? '3000', 1, 65_535)
  const { url } = await findRedis()
  await (cluster.isPrimary ? lead(signal) : serve(url, port, signal))
  return 0
})
