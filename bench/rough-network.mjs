// Clients behind a bad network: `npm run bench:rough [-- --seconds N] [-- --clients N] [-- --json]`. Every client must
// receive the end of each mission exactly once, and its final state must equal that of the service. Exits with 1
// otherwise.
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { connect } from '../dist/lib/client/index.js'
import { Child } from './fanout/processes.mjs'
import { RoughProxy } from './rough/proxy.mjs'

const argument = (name, fallback) => {
  const at = process.argv.indexOf(name)
  return at < 0 ? fallback : Number(process.argv[at + 1])
}
const seconds = argument('--seconds', 300)
const count = argument('--clients', 200)
const disturbMs = argument('--disturb-ms', 4_000)
const settings = { missionsPerSecond: argument('--missions', 20), lifeMs: 2_000, maxMessages: argument('--log', 400) }

/** A client and the updates that it received. */
class Subscriber {
  endings = new Map()
  gaps = 0
  diverged = 0
  wrongOrder = 0
  #seqs = new Map()

  constructor (url) {
    this.client = connect(url, { WebSocket, heartbeatMs: 2_000 })
    this.client.on('mission_update', ({ missionId, status, seq }) => {
      if (seq < (this.#seqs.get(missionId) ?? 0)) this.wrongOrder++
      this.#seqs.set(missionId, seq)
      if (!['completed', 'cancelled', 'error'].includes(status)) return
      this.endings.set(missionId, [...this.endings.get(missionId) ?? [], status])
    })
    this.client.on('gap', () => { this.gaps++ })
    this.client.on('diverged', () => { this.diverged++ })
  }

  get active () {
    return [...this.client.missionsState.values()].filter(({ endedAt }) => endedAt === undefined).length
  }
}

const service = await Child.open(new URL('rough/server.mjs', import.meta.url), [JSON.stringify(settings)])
const proxy = new RoughProxy(service.port, disturbMs)
const url = `ws://127.0.0.1:${await proxy.listen()}/ws/mission-control`
const subscribers = Array.from({ length: count }, () => new Subscriber(url))
await Promise.all(subscribers.map(({ client }) => client.ready))
proxy.begin()
await service.ask('begin')
await sleep(seconds * 1_000)
const faults = { ...proxy.faults }
const { endings, ...served } = await service.ask('stop')
proxy.calm()

const isDone = ({ client, endings: received, active }) =>
  client.state === 'open' && received.size === endings.length && active === 0
const calmedAt = performance.now()
while (!subscribers.every(isDone) && performance.now() - calmedAt < 90_000) await sleep(50)
const settledMs = performance.now() - calmedAt

const isWrong = (received, [id, status]) => received.has(id) && received.get(id)[0] !== status
const sum = (read) => subscribers.reduce((total, one) => total + read(one), 0)
const result = {
  clients: count,
  seconds,
  faults,
  ...served,
  endings: endings.length,
  due: endings.length * count,
  lost: sum(({ endings: received }) => endings.filter(([id]) => !received.has(id)).length),
  twice: sum(({ endings: received }) => [...received.values()].filter((list) => list.length > 1).length),
  wrong: sum(({ endings: received }) => endings.filter((ending) => isWrong(received, ending)).length),
  wrongOrder: sum((one) => one.wrongOrder),
  gaps: sum((one) => one.gaps),
  diverged: sum((one) => one.diverged),
  stillActive: sum((one) => one.active),
  notOpen: subscribers.filter(({ client }) => client.state !== 'open').length,
  settledSeconds: Math.round(settledMs / 100) / 10
}
for (const { client } of subscribers) client.close()
proxy.close()
await service.close()

const failures = ['lost', 'twice', 'wrong', 'wrongOrder', 'stillActive', 'notOpen'].filter((name) => result[name] !== 0)
if (process.argv.includes('--json')) console.log(JSON.stringify(result))
else console.log(result)
process.exit(failures.length === 0 ? 0 : 1)
