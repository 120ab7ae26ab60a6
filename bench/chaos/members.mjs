// The processes of the service, as the run sees them.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { machineMs } from '../fanout/processes.mjs'
import { freePort } from '../backplane/redis.mjs'
import { Proxy } from './proxy.mjs'

const FILE = fileURLToPath(new URL('member.mjs', import.meta.url))

/** A process that is started again when it has died, each time with a label and a ledger of its own. */
export class Member {
  /** Of each start: `label`, `ledger`, `from` and `to` in ms of the machine's clock, and how it has ended. */
  lives = []
  isWorking = false
  #child
  /** Resolves when the process has ended. */
  #gone
  #settings
  #stage
  #proxies = []

  /** `stage` has the Redis `group`, the `folder` for ledgers, the `seed` and the settings of all members. */
  static async open (stage, settings) {
    const member = new Member()
    member.#stage = stage
    member.#settings = settings
    member.name = settings.name
    member.port = await freePort()
    for (const { port } of stage.group.nodes) member.#proxies.push(await new Proxy(() => [port]).listen())
    await member.start()
    return member
  }

  get isAlive () { return this.#child !== undefined }

  async start () {
    const { group, folder, seed, leaseMs, perSecond } = this.#stage
    const label = `${this.name}${this.lives.length + 1}`
    const ledger = join(folder, `${label}.jsonl`)
    const natMap = Object.fromEntries(group.nodes.map(({ port }, at) =>
      [`127.0.0.1:${port}`, { host: '127.0.0.1', port: this.#proxies[at].port }]))
    const settings = {
      ...this.#settings,
      label,
      ledger,
      natMap,
      leaseMs,
      perSecond,
      port: this.port,
      sentinelPort: group.sentinelPort,
      seed: seed + this.lives.length * 100 + this.name.charCodeAt(0)
    }
    const { env = {} } = this.#settings
    const child = fork(FILE, [JSON.stringify(settings)], { env: { ...process.env, ...env } })
    const life = { label, ledger, from: machineMs(), to: Infinity, end: 'alive' }
    this.lives.push(life)
    // A process that is stopped does not notice that this one has ended.
    const kill = () => child.kill('SIGKILL')
    process.once('exit', kill)
    child.once('exit', (code, signal) => {
      process.removeListener('exit', kill)
      if (this.#child === child) this.#child = undefined
      life.to = machineMs()
      if (life.end === 'alive') life.end = `exit ${code ?? signal}`
    })
    this.#child = child
    this.#gone = once(child, 'exit').then(() => [])
    await Promise.race([once(child, 'message'), this.#gone])
    if (this.isWorking) await this.ask('begin')
  }

  async begin () {
    this.isWorking = true
    await this.ask('begin')
  }

  /** The answer to an order; `undefined` if the process has died instead. */
  async ask (order, details = {}) {
    const child = this.#child
    if (child === undefined) return undefined
    child.send({ order, ...details })
    const [answer] = await Promise.race([once(child, 'message'), this.#gone])
    return answer
  }

  /** SIGSTOP or SIGCONT. Returns whether there is a process. */
  signal (name) { return this.#child?.kill(name) ?? false }

  async kill () {
    this.lives.at(-1).end = 'killed'
    this.#child.kill('SIGKILL')
    await this.#gone
  }

  /** Ends the process as a deploy does. */
  async close () {
    this.lives.at(-1).end = 'closed'
    const child = this.#child
    await this.ask('close')
    child.disconnect()
    await this.#gone
  }

  /** Breaks the network between this process and Redis, or heals it. Returns the number of connections. */
  cut (how) { return this.#proxies.reduce((sum, proxy) => sum + proxy.break(how), 0) }

  async end () {
    if (this.#child !== undefined) await this.kill()
    for (const proxy of this.#proxies) proxy.close()
  }
}
