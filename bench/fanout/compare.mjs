// One process of clients, one process per server, and the cost of a delivery in each server.
import { median, openClients, openServer } from './processes.mjs'

/** Time between two ticks with publications, for all servers. */
const PAUSE_MS = 4

/** The kind of client for each kind of server. */
export const CLIENT_OF = {
  plugin: 'plugin',
  missions: 'plugin',
  tenants: 'audience',
  socketIo: 'socketIo',
  wsOnce: 'ws',
  wsEach: 'ws',
  upgraded: 'ws',
  upgradedJoined: 'ws',
  net: 'net',
  netJoined: 'net'
}

/** Runs `use` with one process of clients and these servers, each with `count` clients. */
export async function withServers (list, use) {
  const clients = await openClients()
  const servers = new Map()
  try {
    for (const { name, kind, settings, count, ...how } of list) {
      const server = await openServer(kind, settings)
      servers.set(name, server)
      const group = { group: name, kind: CLIENT_OF[kind], port: server.port, count, ...how }
      if (count > 0) await clients.ask('connect', group)
    }
    return await use(servers, clients)
  } finally {
    await Promise.all([clients, ...servers.values()].map((child) => child.close()))
  }
}

/**
 * CPU time of servers in µs: the median of all rounds. The servers take turns in every round, so a noisy moment
 * affects all of them. The messages of the first server are measured, and the other servers send messages of that size.
 */
export class Comparison {
  #servers
  #clients
  #bytes = new Map()

  constructor (servers, clients) {
    this.#servers = servers
    this.#clients = clients
  }

  /** Mean message size of each server in bytes, measured at the clients. */
  get bytes () { return Object.fromEntries(this.#bytes) }

  /**
   * Median CPU time of one delivery by server. `ticks` and `subscribers` return the figures of a server by its name.
   * `isNet` subtracts the cost of an equal number of ticks without publications.
   */
  async run ({ rounds, warmUp = 2, ticks, burst, subscribers, isNet = false }) {
    const samples = new Map([...this.#servers.keys()].map((name) => [name, []]))
    for (let round = -warmUp; round < rounds; round++) {
      for (const [name, server] of this.#servers) {
        const spent = await this.#spend(name, server, ticks(name), burst)
        const idle = isNet ? await this.#idle(server, ticks(name)) : 0
        if (round >= 0) samples.get(name).push((spent - idle) / (ticks(name) * burst * subscribers(name)))
      }
    }
    return Object.fromEntries([...samples].map(([name, values]) => [name, median(values)]))
  }

  async #spend (name, server, ticks, burst) {
    const [first] = this.#servers.keys()
    const [{ cpuUs }, received] = await Promise.all([
      server.ask('ticks', { ticks, burst, pauseMs: PAUSE_MS, bytes: this.#bytes.get(first) }),
      this.#clients.ask('expect', { group: name, frames: ticks * burst })
    ])
    if (received.missing !== 0) throw new Error(`${name}: ${received.missing} messages are missing`)
    this.#bytes.set(name, received.bytes)
    return cpuUs
  }

  async #idle (server, ticks) {
    const { cpuUs } = await server.ask('ticks', { ticks, burst: 0, pauseMs: PAUSE_MS })
    return cpuUs
  }
}
