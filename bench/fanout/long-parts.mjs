// The parts that take minutes: frozen clients, a sustained load, and ten thousand idle connections.
import { setTimeout as sleep } from 'node:timers/promises'
import { withServers } from './compare.mjs'
import { openClients, openServer, round } from './processes.mjs'

/** The message log is full before the second half, so that it does not grow any more. */
const FROZEN = { websocket: { history: { maxMessages: 4_000 } } }

export async function frozen ({ isQuick }) {
  const seconds = isQuick ? 5 : 60
  const count = isQuick ? 100 : 1_000
  const list = [{ name: 'healthy', kind: 'missions', settings: FROZEN, count: 1 }]
  const run = async (frozenCount) => await withServers(list, async (servers, clients) => {
    const server = servers.get('healthy')
    const { port } = server
    await clients.ask('connect', { group: 'frozen', kind: 'plugin', port, count: frozenCount, isFrozen: true })
    const { rss: before } = await server.ask('memory')
    await clients.ask('watch', { group: 'healthy' })
    const [{ rss, publishedAt }, { missing }] = await Promise.all([
      server.ask('rate', { perSecond: 200, seconds }),
      clients.ask('expect', { group: 'healthy', frames: 200 * seconds, timeoutMs: (seconds + 20) * 1_000 })
    ])
    return { rss, before, missing, ages: await clients.ask('ages', { group: 'healthy', publishedAt }) }
  })
  const alone = await run(0)
  const beside = await run(count)
  const megabytes = beside.rss.map((bytes) => (bytes - beside.before) / 1_048_576)
  return {
    seconds,
    frozen: count,
    grownMb: round(Math.max(...megabytes), 1),
    secondHalfGrownMb: secondHalfGrownMb(beside.rss),
    aloneSecondHalfGrownMb: secondHalfGrownMb(alone.rss),
    missing: beside.missing,
    healthyP50Ms: round(beside.ages.p50),
    aloneP50Ms: round(alone.ages.p50),
    healthyP99Ms: round(beside.ages.p99),
    aloneP99Ms: round(alone.ages.p99),
    healthySecondHalfP99Ms: round(beside.ages.lateP99),
    aloneSecondHalfP99Ms: round(alone.ages.lateP99),
    rssMbBySecond: megabytes.map((value) => Math.round(value))
  }
}

const secondHalfGrownMb = (rss) => round((rss.at(-1) - rss[rss.length >> 1]) / 1_048_576, 1)

export async function sustained ({ isQuick }) {
  const seconds = isQuick ? 5 : 60
  return await withServers([{ name: 'all', kind: 'missions', count: 1_000 }], async (servers, clients) => {
    await clients.ask('watch', { group: 'all' })
    const [{ lagMs, publishedAt }, { missing }] = await Promise.all([
      servers.get('all').ask('rate', { perSecond: 60, seconds }),
      clients.ask('expect', { group: 'all', frames: 60 * seconds, timeoutMs: (seconds + 30) * 1_000 })
    ])
    const { p50, p99, max } = await clients.ask('ages', { group: 'all', publishedAt })
    return {
      seconds,
      subscribers: 1_000,
      missing,
      p50Ms: round(p50),
      p99Ms: round(p99),
      maxMs: round(max),
      lagP99Ms: round(lagMs.p99),
      lagMaxMs: round(lagMs.max)
    }
  })
}

export async function tenThousand ({ isQuick }) {
  const seconds = isQuick ? 10 : 300
  const count = isQuick ? 1_000 : 10_000
  const server = await openServer('plugin', { websocket: { maxConnections: 20_000, heartbeatMs: 30_000 } })
  const clients = await openClients()
  await clients.ask('connect', { group: 'idle', kind: 'silent', port: server.port, count })
  await sleep(seconds * 1_000)
  const { rss } = await server.ask('memory')
  const { alive } = await clients.ask('alive', { group: 'idle' })
  await Promise.all([server.close(), clients.close()])
  return { connections: count, seconds, rssMb: round(rss / 1_048_576, 1), alive }
}
