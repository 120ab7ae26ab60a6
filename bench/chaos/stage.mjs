// Everything that runs: Redis, the processes of the service, the balancer and the clients.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectReporter } from '../../dist/lib/reporter.js'
import { redisBackplane } from '../../dist/lib/backplane/redis/index.js'
import { Child, machineMs } from '../fanout/processes.mjs'
import { CLOCK_OF } from './faults.mjs'
import { Member } from './members.mjs'
import { Proxy } from './proxy.mjs'
import { createRandom } from './random.mjs'
import { RedisGroup } from './redis-group.mjs'
import { WrongClock } from './wrong-clock.mjs'

const ROLES = [['a', 'service'], ['b', 'service'], ['w', 'worker']]
const CLIENT_PROCESSES = 2

export class Stage {
  members = []
  clients = []
  /** When Redis has lost what was written, in ms of the machine's clock. */
  losses = []
  #balancer

  /** `settings` has `fsync`, `seed`, `clientCount`, `perSecond`, `leaseMs`, `pauseMs` and `scale`. */
  static async open (settings) {
    const stage = Object.assign(new Stage(), settings)
    stage.random = createRandom(settings.seed)
    stage.folder = await mkdtemp(join(tmpdir(), 'chaos-'))
    stage.group = await RedisGroup.open(settings.fsync)
    stage.clock = WrongClock.in(stage.folder)
    for (const [name, role] of ROLES) {
      // The clock of one process steps.
      const env = name === CLOCK_OF ? stage.clock?.env : undefined
      stage.members.push(await Member.open(stage, { name, role, env }))
    }
    const services = stage.members.slice(0, 2)
    stage.#balancer = await new Proxy(() => services.filter(({ isAlive }) => isAlive).map(({ port }) => port)).listen()
    const url = `ws://127.0.0.1:${stage.#balancer.port}/ws/mission-control`
    const count = Math.ceil(settings.clientCount / CLIENT_PROCESSES)
    for (let at = 0; at < CLIENT_PROCESSES; at++) stage.clients.push(await ClientProcess.open(url, count))
    return stage
  }

  loses = (from, to) => this.losses.push({ from, to })

  /** Ends what a fault may have left behind. */
  async heal () {
    for (const member of this.members) {
      member.cut(undefined)
      member.signal('SIGCONT')
      if (!member.isAlive) await member.start()
    }
  }

  /** The missions of the log by id, as a process sees them that has just started. */
  async readLog () {
    const backplane = redisBackplane({ client: this.group.primary.url, namespace: 'chaos' })
    const { missions, close } = await connectReporter({ backplane, missions: { maxEnded: 100_000 } })
    const offset = Date.now() - machineMs()
    const picture = new Map(missions.views().map(({ id, attempt, status, seq, endedAt }) =>
      [id, { attempt, status, seq, endedAt: endedAt === null ? 0 : endedAt - offset }]))
    await close()
    return picture
  }

  async close () {
    for (const child of [...this.clients, ...this.members]) await child.end()
    this.#balancer.close()
    await this.group.close()
    await rm(this.folder, { recursive: true })
  }
}

/** Half of the clients. */
class ClientProcess extends Child {
  static async open (url, count) {
    const file = new URL('clients.mjs', import.meta.url)
    return Object.setPrototypeOf(await Child.open(file, [JSON.stringify({ url, count })]), ClientProcess.prototype)
  }

  async end () { await this.close() }
}
