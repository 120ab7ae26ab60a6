// One process of clients and one for each server, and what a delivery costs each of them.
import { median, openClients, openServer } from './processes.mjs'

/** Time between two turns of the event loop in which something is published, the same for all. */
const PAUSE_MS = 4

/** How clients talk to each kind of server. */
export const CLIENT_OF = { plugin: 'plugin', missions: 'plugin', socketIo: 'socketIo', wsOnce: 'ws', wsEach: 'ws', upgraded: 'ws', upgradedJoined: 'ws', net: 'net', netJoined: 'net' }

/** Runs `use` with one clients' process and these servers, each with `count` clients. */
export async function withServers (list, use) {
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

/**
 * CPU time of servers in µs. All take turns in every round, so that a noisy moment meets all of them; the median of the rounds counts. The
 * first server's messages are measured, and in the same round all others send as many bytes.
 */
export class Comparison {
  #servers
  #clients
  #bytes = new Map()

  constructor (servers, clients) {
    this.#servers = servers
    this.#clients = clients
  }

  /** Mean bytes of the messages of each server, as they came to the clients. */
  get bytes () { return Object.fromEntries(this.#bytes) }

  /** Median CPU time of one delivery by server. `ticks` and `subscribers` give those of a server by its name; `isNet` takes off what the same turns cost without a publication. */
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
    const [{ cpuUs }, heard] = await Promise.all([
      server.ask('ticks', { ticks, burst, pauseMs: PAUSE_MS, bytes: this.#bytes.get(first) }),
      this.#clients.ask('expect', { group: name, frames: ticks * burst })
    ])
    if (heard.missing !== 0) throw new Error(`${name}: ${heard.missing} messages are missing`)
    this.#bytes.set(name, heard.bytes)
    return cpuUs
  }

  async #idle (server, ticks) {
    const { cpuUs } = await server.ask('ticks', { ticks, burst: 0, pauseMs: PAUSE_MS })
    return cpuUs
  }
}
