// A primary, a replica and a Sentinel. Processes reach the first two through proxies.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort, RedisServer } from '../backplane/redis.mjs'

export const GROUP = 'chaos'
/** Nobody listens there. */
const NOWHERE = ['127.0.0.1', 1]
/** A key of no process of the service. */
const PROBE = 'chaos:probe'

export class RedisGroup {
  nodes = []
  #sentinel
  #control

  /** `fsync` is `always`, `everysec` or `none`: nothing is written to a file. */
  static async open (fsync) {
    const group = new RedisGroup()
    const file = fsync === 'none' ? [] : ['--appendonly', 'yes', '--appendfsync', fsync]
    const settings = [...file, '--enable-debug-command', 'yes', '--repl-diskless-sync-delay', '0']
    for (let at = 0; at < 2; at++) group.nodes.push(await RedisServer.open(...settings))
    group.primary = group.nodes[0]
    await group.nodes[1].client.replicaof('127.0.0.1', group.primary.port)
    await group.#openSentinel()
    return group
  }

  get replica () { return this.nodes.find((node) => node !== this.primary) }

  /** Runs a command on the primary. One that ends with the connection counts as done. */
  async tell (...command) {
    await this.primary.client.call(...command).catch((err) => {
      if (err.name === 'ReplyError') throw err
    })
  }

  /** Throws unless the primary refuses to write with this code, such as `OOM`. */
  async demandRefusal (code) {
    const answer = await this.primary.client.set(PROBE, '1').catch(({ message }) => message)
    if (!answer.startsWith(code)) throw new Error(`a write was answered with ${answer} instead of ${code}`)
  }

  /** Refuses to write for `ms`, because the memory is full. */
  async fill (ms) {
    await this.tell('config', 'set', 'maxmemory', '1')
    try {
      await this.demandRefusal('OOM')
      await sleep(ms)
    } finally {
      await this.tell('config', 'set', 'maxmemory', '0')
    }
  }

  /** Ends the primary at once, and starts it on its data after `ms`. */
  async kill (ms) {
    const { primary } = this
    await primary.kill()
    await sleep(ms)
    await primary.start()
  }

  /** The primary refuses to write for `ms`. */
  async makeReadOnly (ms) {
    await this.tell('replicaof', ...NOWHERE)
    try {
      await this.demandRefusal('READONLY')
      await sleep(ms)
    } finally {
      await this.tell('replicaof', 'no', 'one')
    }
  }

  /**
   * The replica takes over. With `lossMs`, writes of this time span are lost; `meanwhile` runs at the end of it.
   */
  async failOver (lossMs, meanwhile = async () => {}) {
    const { primary, replica } = this
    const mark = randomUUID()
    if (lossMs > 0) {
      await replica.client.replicaof(...NOWHERE)
      await primary.client.set(PROBE, mark)
      await sleep(lossMs)
      await meanwhile()
      await primary.kill()
    } else {
      await primary.client.set(PROBE, mark)
      // Otherwise what is written until the primary learns of it would be lost.
      await primary.client.call('client', 'pause', 10_000, 'write')
      await sleep(500)
    }
    await this.#switch(replica)
    this.primary = replica
    if (lossMs > 0) await primary.start()
    // Sentinel would do it too, but later.
    await primary.client.replicaof('127.0.0.1', replica.port)
    await primary.client.call('client', 'unpause')
    const isKept = await replica.client.get(PROBE) === mark
    if (isKept === (lossMs > 0)) throw new Error(`the failover has ${isKept ? 'kept' : 'lost'} what was written`)
  }

  async close () {
    this.#control.disconnect()
    this.#sentinel.kill('SIGKILL')
    for (const node of this.nodes) await node.close()
  }

  async #switch ({ port }) {
    for (let at = 0; at < 600; at++) {
      const [, now] = await this.#control.call('sentinel', 'get-master-addr-by-name', GROUP)
      if (Number(now) === port) return
      // Refused while Sentinel does not know the replica yet, or is at it.
      if (at % 20 === 0) await this.#control.call('sentinel', 'failover', GROUP).catch(() => {})
      await sleep(100)
    }
    throw new Error('Sentinel makes no failover')
  }

  async #openSentinel () {
    this.sentinelPort = await freePort()
    const path = join(this.primary.folder, 'sentinel.conf')
    await writeFile(path, [
      `port ${this.sentinelPort}`,
      'bind 127.0.0.1',
      `dir ${this.primary.folder}`,
      `sentinel monitor ${GROUP} 127.0.0.1 ${this.primary.port} 1`,
      // A failover takes place when it is asked for, and not because a server is paused.
      `sentinel down-after-milliseconds ${GROUP} 600000`,
      `sentinel failover-timeout ${GROUP} 10000`
    ].join('\n'))
    const child = spawn('redis-sentinel', [path], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#sentinel = child
    process.once('exit', () => child.kill('SIGKILL'))
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.includes('+monitor')) break
    }
    child.stdout.resume()
    this.#control = new Redis(this.sentinelPort).on('error', () => {})
  }
}
