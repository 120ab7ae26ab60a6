// Two processes of a service behind a round-robin proxy, and a worker without HTTP. A page that is connected through
// the proxy misses no step of the worker, whichever process of the service is stopped or killed.
//
//   npm i fastify fastify-mission-control ioredis
//   redis-server
//   npm run build:examples && node .examples/replicas.js
//
// Open the URL in a browser, and stop the processes one after the other with `kill PID` or `kill -9 PID`; each one is
// started again. Redis is on 127.0.0.1:6379 (set REDIS_PORT for another port). It runs until Ctrl-C.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import missionControl from 'fastify-mission-control'
import type { Backplane } from 'fastify-mission-control/backplane'
import { redisBackplane } from 'fastify-mission-control/redis'
import { connectReporter } from 'fastify-mission-control/reporter'
import { interruption, readWholeNumber, readWord, runProgram } from './flags.js'
import { addPage } from './replicas/page.js'
import { createProxy } from './replicas/proxy.js'
import { findRedis } from './redis.js'

const STEPS = 40
const STEP_MS = 25

/** A replica of the service. It tells its parent the port. */
async function runReplica (backplane: Backplane, signal: AbortSignal): Promise<void> {
  const app = Fastify({ forceCloseConnections: true })
  await app.register(missionControl, { server: { name: 'replica', version: '1.0.0' }, backplane })
  addPage(app)
  await app.listen({ host: '127.0.0.1', port: 0 })
  process.send!((app.server.address() as AddressInfo).port)
  if (!signal.aborted) await once(signal, 'abort')
  await app.close()
  process.disconnect()
}

/** Runs one mission after the other. Each note must reach every client, once and in order. */
async function runWorker (backplane: Backplane, stop: AbortSignal): Promise<void> {
  const { missions, close } = await connectReporter({ backplane, service: { name: 'worker' } })
  for (let round = 1; !stop.aborted; round++) {
    await missions.run(`import ${round}`, async (mission) => {
      for (let step = 1; step <= STEPS && !stop.aborted; step++) {
        mission.note(`step ${step} of ${STEPS}`)
        await sleep(STEP_MS)
      }
    })
  }
  await close()
  process.disconnect()
}

/** Starts all processes, and each one again that ends before the signal aborts. */
async function supervise (signal: AbortSignal): Promise<void> {
  const ports = new Map<ChildProcess, number>()
  const children = new Set<ChildProcess>()
  const start = (role: 'replica' | 'worker'): void => {
    const child = fork(fileURLToPath(import.meta.url), [role])
    children.add(child)
    child.once('message', (port: number) => {
      ports.set(child, port)
      console.log(`replica ${child.pid} on port ${port}`)
    })
    child.once('exit', () => {
      children.delete(child)
      ports.delete(child)
      if (!signal.aborted) start(role)
    })
  }
  for (const role of ['replica', 'replica', 'worker'] as const) start(role)
  const proxy = createProxy(() => [...ports.values()])
  const port = readWholeNumber('PORT', process.env['PORT'] ?? '3000', 0, 65_535)
  proxy.listen(port, '127.0.0.1')
  await once(proxy, 'listening')
  console.log(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`)
  if (!signal.aborted) await once(signal, 'abort')
  proxy.close()
  for (const child of children) child.kill('SIGTERM')
  await Promise.all([...children].map(async (child) => await once(child, 'exit')))
}

await runProgram('Usage: node .examples/replicas.js', async () => {
  const role = readWord('The first argument', process.argv[2] ?? 'all', ['all', 'replica', 'worker'])
  const signal = interruption()
  const { url } = await findRedis()
  const backplane = redisBackplane({ client: url, namespace: 'replicas' })
  if (role === 'all') await supervise(signal)
  else await (role === 'replica' ? runReplica : runWorker)(backplane, signal)
  return 0
})
