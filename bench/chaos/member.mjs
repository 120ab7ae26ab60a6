// One process of the service: `service` with HTTP and clients, or `worker` without. It replies to each IPC order.
import { openSync } from 'node:fs'
import { Redis } from 'ioredis'
import { redisBackplane } from '../../dist/lib/backplane/redis/index.js'
import { createRandom } from './random.mjs'
import { GROUP } from './redis-group.mjs'
import { Work } from './work.mjs'

const settings = JSON.parse(process.argv[2])
const { role, name, sentinelPort, natMap, leaseMs, port, ledger, seed, label, perSecond } = settings

const client = new Redis({
  sentinels: [{ host: '127.0.0.1', port: sentinelPort }], name: GROUP, natMap, lazyConnect: true
}).on('error', () => {})
const backplane = redisBackplane({ client, namespace: 'chaos', leaseMs })
const missionOptions = { maxEnded: 100_000, cancelGraceMs: 2_000, closeGraceMs: 1_000 }

async function openService () {
  const { default: Fastify } = await import('fastify')
  const { default: missionControl } = await import('../../dist/lib/index.js')
  const app = Fastify()
  await app.register(missionControl, {
    backplane,
    server: { name },
    missions: missionOptions,
    websocket: {
      heartbeatMs: 2_000,
      maxConnectionsPerSecond: 10_000,
      maxConnections: 10_000,
      // Short, so that some clients cannot resume.
      history: { maxMessages: 50_000, maxAgeMs: 30_000 }
    }
  })
  await app.listen({ port, host: '127.0.0.1' })
  return { missions: app.missions, monitoring: app.monitoring, close: () => app.close() }
}

async function openWorker () {
  const { connectReporter } = await import('../../dist/lib/reporter.js')
  return await connectReporter({ backplane, service: { name }, missions: missionOptions })
}

const { missions, close } = await (role === 'service' ? openService() : openWorker())
const work = new Work(missions, createRandom(seed), { label, perSecond, ledger: openSync(ledger, 'a') })

/** All missions as this process lists them. */
function readPicture () {
  const all = []
  for (let cursor; cursor !== null;) {
    const page = missions.list({ limit: 200, ...cursor !== undefined && { cursor } })
    all.push(...page.missions.map(({ id, attempt, status, seq }) => [id, attempt, status, seq]))
    cursor = page.nextCursor
  }
  return all
}

const orders = {
  begin () {
    work.begin()
    return {}
  },
  end: async ({ ms }) => await work.end(ms),
  time: () => ({ now: Date.now() }),
  picture: () => ({ missions: readPicture(), stats: missions.stats() }),
  async close () {
    await work.end(0)
    await close()
    return {}
  }
}

process.on('message', async ({ order, ...details }) => process.send(await orders[order](details)))
process.on('disconnect', () => process.exit(0))
process.send({})
