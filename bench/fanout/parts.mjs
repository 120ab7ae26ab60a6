// The short parts of the comparison. Each part starts its own processes, returns its figures and stops the processes.
import { CLIENT_OF, Comparison, withServers } from './compare.mjs'
import { median, openServer, round } from './processes.mjs'

const SUBSCRIBERS = 500
/** The text size of a mission update of 2 KiB. */
const PLAN_BYTES = 1_692

const of = (value) => () => value

export async function rows ({ isQuick }) {
  const list = Object.keys(CLIENT_OF).map((kind) => ({ name: kind, kind, count: SUBSCRIBERS }))
  return await withServers(list, async (servers, clients) => {
    const rounds = isQuick ? 3 : 21
    const comparison = new Comparison(servers, clients)
    // The bursts come first, so that all servers are warm.
    const ten = await comparison.run({ rounds, ticks: of(20), burst: 10, subscribers: of(SUBSCRIBERS) })
    const one = await comparison.run({ rounds, ticks: of(40), burst: 1, subscribers: of(SUBSCRIBERS) })
    return list.map(({ name }) => ({
      name,
      bytes: comparison.bytes[name],
      burst1Us: round(one[name], 3),
      burst10Us: round(ten[name], 3)
    }))
  })
}

/**
 * Cost of a delivery with and without tenants: one mission that 500 clients watch, and 500 missions that one client
 * watches each. In the second case each delivery is the step of a mission, which is made and encoded for it alone;
 * without tenants, each client follows its mission by a filter.
 */
export async function tenants ({ isQuick }) {
  const of500 = { audiences: SUBSCRIBERS, kind: 'tenants', count: SUBSCRIBERS }
  const of1 = { ...of500, audiences: 1 }
  const list = [
    { name: 'without', ...of1, settings: { audiences: 1, hasTenants: false } },
    { name: 'oneTenant', ...of1, settings: { audiences: 1, hasTenants: true } },
    { name: 'ownMission', ...of500, settings: { audiences: SUBSCRIBERS, hasTenants: false }, isFiltered: true },
    { name: 'ownTenant', ...of500, settings: { audiences: SUBSCRIBERS, hasTenants: true } }
  ]
  return await withServers(list, async (servers, clients) => {
    const comparison = new Comparison(servers, clients)
    const rounds = isQuick ? 3 : 21
    const costs = await comparison.run({ rounds, ticks: of(40), burst: 1, subscribers: of(SUBSCRIBERS), isNet: true })
    return Object.fromEntries(list.map(({ name }) => [`${name}Us`, round(costs[name], 3)]))
  })
}

export async function compression ({ isQuick }) {
  const compressed = { websocket: { compression: true }, planBytes: PLAN_BYTES }
  const list = [
    { name: 'plain', kind: 'plugin', settings: { planBytes: PLAN_BYTES }, count: SUBSCRIBERS },
    { name: 'plugin', kind: 'plugin', settings: compressed, count: SUBSCRIBERS, deflate: true },
    { name: 'ws', kind: 'wsOnce', settings: { perMessageDeflate: true }, count: SUBSCRIBERS, deflate: true }
  ]
  return await withServers(list, async (servers, clients) => {
    const comparison = new Comparison(servers, clients)
    const rounds = isQuick ? 2 : 10
    const costs = await comparison.run({ rounds, ticks: of(10), burst: 1, subscribers: of(SUBSCRIBERS) })
    const { bytes } = comparison
    return {
      pluginUs: round(costs.plugin),
      plainUs: round(costs.plain),
      wsUs: round(costs.ws),
      plainBytes: bytes.plain,
      pluginBytes: bytes.plugin,
      wsBytes: bytes.ws
    }
  })
}

/** Growth of resident memory per idle connection in bytes: the median of several servers of each kind. */
export async function idleConnection ({ isQuick }) {
  const count = isQuick ? 1_000 : 10_000
  const kinds = {
    plugin: { kind: 'plugin' },
    compressed: { kind: 'plugin', settings: { websocket: { compression: true } }, deflate: true },
    socketIo: { kind: 'socketIo' }
  }
  const grown = Object.fromEntries(Object.keys(kinds).map((name) => [name, []]))
  for (let turn = 0; turn < (isQuick ? 1 : 5); turn++) {
    for (const [name, { kind, settings, deflate }] of Object.entries(kinds)) {
      // The memory of the first connections includes compiled code.
      await withServers([{ name, kind, settings, count: 500, deflate }], async (servers, clients) => {
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

/**
 * Cost of a delivery by the number of subscribers. Plain sockets are measured too, because their state also exceeds the
 * processor's caches. Sleeping and waking up has a constant cost; the cost of ticks without publications is subtracted.
 * Servers with fewer subscribers run more ticks, so that all servers deliver equally often and are equally warm.
 */
export async function scaling ({ isQuick }) {
  const counts = [100, 1_000, 5_000]
  const list = counts.flatMap((count) => [
    { name: `us${count}`, kind: 'plugin', count },
    { name: `netUs${count}`, kind: 'net', count }
  ])
  return await withServers(list, async (servers, clients) => {
    const comparison = new Comparison(servers, clients)
    const subscribers = (name) => list.find((server) => server.name === name).count
    const ticks = (name) => Math.round(30_000 / subscribers(name))
    const costs = await comparison.run({ rounds: isQuick ? 2 : 12, ticks, burst: 1, subscribers, isNet: true })
    return Object.fromEntries(list.map(({ name }) => [name, round(costs[name])]))
  })
}

export async function unlistened () {
  const server = await openServer('pluginProgress')
  const { samples } = await server.ask('cost', { rounds: 60, perRound: 20_000 })
  await server.close()
  return { ns: Math.round(median(samples.slice(20))) }
}
