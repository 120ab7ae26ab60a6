import { Child } from '../fanout/processes.mjs'
import { RedisServer } from './redis.mjs'

const HERE = new URL('.', import.meta.url)

/** How long the CPU time of waiting is measured. */
const WAITING_SECONDS = 3

/** Two server processes A and B, their Redis server, and one process with the clients of both. */
export class Stand {
  #settings

  static async open (kind, settings = {}) {
    const stand = new Stand()
    stand.kind = kind
    stand.#settings = settings
    stand.redis = await RedisServer.open()
    stand.clients = await Child.open(new URL('clients.mjs', HERE))
    stand.servers = { A: await stand.openServer('A'), B: await stand.openServer('B') }
    return stand
  }

  /** One more server beside A and B, with other settings and flags of Node.js. */
  async openServer (name, more = {}, flags = undefined) {
    const settings = JSON.stringify({ name, redisUrl: this.redis.url, ...this.#settings, ...more })
    return await Child.open(new URL('server.mjs', HERE), [this.kind, settings], flags)
  }

  /** Connects `count` clients with each of the servers, in groups with the names of the servers. */
  async connect (names, { count, isFiltered = false }) {
    for (const name of names) {
      const { port } = this.servers[name]
      await this.clients.ask('connect', { group: name, kind: this.kind, port, count, isFiltered })
    }
  }

  /** CPU time of both servers and of Redis in µs. */
  async cpu () {
    const [{ us: a }, { us: b }, redis] = await Promise.all([
      this.servers.A.ask('cpu'), this.servers.B.ask('cpu'), this.redis.cpuUs()
    ])
    return { a, b, redis }
  }

  /**
   * Both servers take steps, `perSecond` together and at most `maxPerSecond` at other times. `names` is the number of
   * subscribers on each server, and with `isForAll` each of them receives all steps. Returns what the clients have
   * received, and the CPU time of a step in µs without that of waiting.
   */
  async live ({ maxPerSecond, ...rest }) {
    const how = { ...rest, maxPerSecond: maxPerSecond ?? rest.perSecond }
    const waiting = await this.#spend({ ...how, perSecond: 0, seconds: WAITING_SECONDS })
    const { counts, takenMs, spent } = await this.#spend(how)
    const steps = counts.reduce((sum, count) => sum + count, 0)
    const due = how.isForAll ? counts.fill(steps) : counts
    const before = await this.cpu()
    const received = await this.clients.ask('expect', { groups: ['A', 'B'], due })
    const after = await this.cpu()
    const [aUs, bUs, redisUs] = ['a', 'b', 'redis'].map((name) =>
      (spent[name] + after[name] - before[name] - waiting.spent[name] / WAITING_SECONDS * how.seconds) / steps)
    return { ...received, steps, perSecond: steps / takenMs * 1_000, aUs, bUs, redisUs, us: aUs + bUs + redisUs }
  }

  async #spend ({ perSecond, maxPerSecond, ...how }) {
    const before = await this.cpu()
    const order = { perSecond: perSecond / 2, maxPerSecond: maxPerSecond / 2, ...how }
    const [a, b] = await Promise.all(['A', 'B'].map((name) => this.servers[name].ask('live', { ...order, prefix: name })))
    const after = await this.cpu()
    return {
      counts: a.steps.map((count, number) => count + b.steps[number]),
      takenMs: Math.max(a.takenMs, b.takenMs),
      spent: { a: after.a - before.a, b: after.b - before.b, redis: after.redis - before.redis }
    }
  }

  async close () {
    await Promise.all([this.clients, ...Object.values(this.servers)].map((child) => child.close()))
    await this.redis.close()
  }
}

/** Runs `use` with a stand, which is closed at the end. */
export async function withStand (kind, settings, use) {
  const stand = await Stand.open(kind, settings)
  try {
    return await use(stand)
  } finally {
    await stand.close()
  }
}
