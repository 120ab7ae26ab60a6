// The parts of the comparison. Each opens its own processes, gives its figures, and takes everything down again.
import { setTimeout as sleep } from 'node:timers/promises'
import { median, openClients, openServer, round } from './processes.mjs'

const SUBSCRIBERS = 500
const MESSAGE_BYTES = 330
/** Time between two turns of the event loop in which something is published, the same for all. */
const PAUSE_MS = 4

const CLIENT_OF = { plugin: 'plugin', socketIo: 'socketIo', wsOnce: 'ws', wsEach: 'ws', net: 'net', netJoined: 'net' }

/** Runs `use` with one clients' process and these servers, each with `count` clients. */
async function withServers (list, use) {
  const clients = await openClients()
  const servers = new Map()
  try {
    for (const { name, kind, settings, count, ...how } of list) {
      const server = await openServer(kind, settings)
      servers.set(name, server)
      if (count > 0) await clients.ask('connect', { group: name, kind: CLIENT_OF[kind], port: server.port, count, ...how })
    }
    return await use(servers, clients)
  } finally {
    await Promise.all([clients, ...servers.values()].map((child) => child.close()))
  }
}

/** CPU time in µs of one delivery, by server: all take turns in every round, so that a noisy moment meets all of them. */
async function compare (servers, clients, { rounds, ticks, burst, subscribers, warmUp = 2 }) {
  const samples = new Map([...servers.keys()].map((name) => [name, []]))
  const bytes = new Map()
  for (let at = -warmUp; at < rounds; at++) {
    for (const [name, server] of servers) {
      const [{ cpuUs }, heard] = await Promise.all([
        server.ask('ticks', { ticks, burst, pauseMs: PAUSE_MS }),
        clients.ask('expect', { group: name, frames: ticks * burst })
      ])
      if (heard.missing !== 0) throw new Error(`${name}: ${heard.missing} messages are missing`)
      bytes.set(name, heard.bytes)
      if (at >= 0) samples.get(name).push(cpuUs / (ticks * burst * subscribers(name)))
    }
  }
  return { medians: Object.fromEntries([...samples].map(([name, values]) => [name, median(values)])), bytes: Object.fromEntries(bytes) }
}

export async function rows ({ isQuick }) {
  const list = ['plugin', 'socketIo', 'wsOnce', 'wsEach', 'net', 'netJoined']
    .map((kind) => ({ name: kind, kind, settings: kind === 'plugin' ? { nameBytes: 24 } : { bytes: MESSAGE_BYTES }, count: SUBSCRIBERS }))
  return await withServers(list, async (servers, clients) => {
    const rounds = isQuick ? 3 : 15
    const subscribers = () => SUBSCRIBERS
    const one = await compare(servers, clients, { rounds, ticks: 40, burst: 1, subscribers })
    const ten = await compare(servers, clients, { rounds, ticks: 20, burst: 10, subscribers })
    return list.map(({ name }) => ({ name, bytes: one.bytes[name], burst1Us: round(one.medians[name]), burst10Us: round(ten.medians[name]) }))
  })
}

export async function compression ({ isQuick }) {
  const list = [
    { name: 'plugin', kind: 'plugin', settings: { websocket: { compression: true }, planBytes: 1_800 }, count: SUBSCRIBERS, deflate: true },
    { name: 'plain', kind: 'plugin', settings: { planBytes: 1_800 }, count: SUBSCRIBERS },
    { name: 'ws', kind: 'wsOnce', settings: { bytes: 2_048, perMessageDeflate: true }, count: SUBSCRIBERS, deflate: true }
  ]
  return await withServers(list, async (servers, clients) => {
    const { medians, bytes } = await compare(servers, clients, { rounds: isQuick ? 2 : 10, ticks: 10, burst: 1, subscribers: () => SUBSCRIBERS })
    return { pluginUs: round(medians.plugin), plainUs: round(medians.plain), wsUs: round(medians.ws), pluginBytes: bytes.plugin, plainBytes: bytes.plain, wsBytes: bytes.ws }
  })
}

/** Resident memory of one idle connection in bytes: each server twice, the smaller growth counts. */
export async function idleConnection ({ isQuick }) {
  const count = isQuick ? 500 : 3_000
  const kinds = {
    plugin: { kind: 'plugin' },
    compressed: { kind: 'plugin', settings: { websocket: { compression: true } }, deflate: true },
    socketIo: { kind: 'socketIo', settings: {} }
  }
  const grown = { plugin: [], compressed: [], socketIo: [] }
  for (let turn = 0; turn < (isQuick ? 1 : 3); turn++) {
    for (const [name, { kind, settings, deflate }] of Object.entries(kinds)) {
      await withServers([{ name, kind, settings, count: 200, deflate }], async (servers, clients) => {
        const server = servers.get(name)
        const before = await server.ask('memory')
        await clients.ask('connect', { group: name, kind: CLIENT_OF[kind], port: server.port, count, deflate })
        const after = await server.ask('memory')
        grown[name].push((after.rss - before.rss) / count)
      })
    }
  }
  return Object.fromEntries(Object.entries(grown).map(([name, values]) => [`${name}Bytes`, Math.round(median(values))]))
}

export async function scaling ({ isQuick }) {
  const counts = [100, 1_000, 5_000]
  const list = counts.map((count) => ({ name: String(count), kind: 'plugin', settings: { nameBytes: 24 }, count }))
  return await withServers(list, async (servers, clients) => {
    const { medians } = await compare(servers, clients, { rounds: isQuick ? 2 : 12, ticks: 6, burst: 1, subscribers: Number })
    return Object.fromEntries(counts.map((count) => [`us${count}`, round(medians[count])]))
  })
}

export async function unlistened () {
  const server = await openServer('pluginProgress')
  const { samples } = await server.ask('cost', { rounds: 60, perRound: 20_000 })
  await server.close()
  return { ns: Math.round(median(samples.slice(20))) }
}

export async function frozen ({ isQuick }) {
  const seconds = isQuick ? 5 : 60
  const count = isQuick ? 100 : 1_000
  const run = async (frozenCount) => await withServers([{ name: 'healthy', kind: 'plugin', settings: { nameBytes: 24 }, count: 1 }], async (servers, clients) => {
    const server = servers.get('healthy')
    await clients.ask('connect', { group: 'frozen', kind: 'plugin', port: server.port, count: frozenCount, isFrozen: true })
    const { rss: before } = await server.ask('memory')
    await clients.ask('watch', { group: 'healthy' })
    const [{ rss }, { missing }] = await Promise.all([
      server.ask('rate', { perSecond: 200, seconds }),
      clients.ask('expect', { group: 'healthy', frames: 200 * seconds, timeoutMs: (seconds + 20) * 1_000 })
    ])
    return { rss, before, missing, ages: await clients.ask('ages', { group: 'healthy' }) }
  })
  const alone = await run(0)
  const beside = await run(count)
  const megabytes = beside.rss.map((bytes) => (bytes - beside.before) / 1_048_576)
  const half = megabytes.slice(megabytes.length / 2)
  return {
    seconds,
    frozen: count,
    grownMb: round(Math.max(...megabytes), 1),
    secondHalfGrownMb: round(half.at(-1) - half[0], 1),
    missing: beside.missing,
    healthyP99Ms: beside.ages.p99,
    aloneP99Ms: alone.ages.p99,
    rssMbBySecond: megabytes.map((value) => Math.round(value))
  }
}

export async function sustained ({ isQuick }) {
  const seconds = isQuick ? 5 : 60
  return await withServers([{ name: 'all', kind: 'plugin', settings: { nameBytes: 24 }, count: 1_000 }], async (servers, clients) => {
    await clients.ask('watch', { group: 'all' })
    const [{ lagMs }, { missing }] = await Promise.all([
      servers.get('all').ask('rate', { perSecond: 60, seconds }),
      clients.ask('expect', { group: 'all', frames: 60 * seconds, timeoutMs: (seconds + 30) * 1_000 })
    ])
    const { p50, p99, max } = await clients.ask('ages', { group: 'all' })
    return { seconds, subscribers: 1_000, missing, p50Ms: p50, p99Ms: p99, maxMs: max, lagP99Ms: round(lagMs.p99), lagMaxMs: round(lagMs.max) }
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
