// One server of the comparison in its own process. argv[2] is its kind; it replies to each IPC order with one message.
import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from './processes.mjs'
import { SERVERS } from './servers.mjs'

const [, , kind, settings = '{}'] = process.argv
const { port, publish, rest } = await SERVERS[kind](JSON.parse(settings))
const lag = monitorEventLoopDelay({ resolution: 10 })

const orders = {
  /** CPU time in µs of `ticks` ticks with `burst` publications each. */
  async ticks ({ ticks, burst, pauseMs, bytes }) {
    const before = process.cpuUsage()
    for (let tick = 0; tick < ticks; tick++) {
      for (let at = 0; at < burst; at++) publish(bytes)
      await sleep(pauseMs)
    }
    await rest?.()
    const { user, system } = process.cpuUsage(before)
    return { cpuUs: user + system }
  },
  /** Publishes evenly; returns the time of each publication, the memory every second, and the event loop delay. */
  async rate ({ perSecond, seconds }) {
    const rss = []
    const publishedAt = []
    lag.reset()
    lag.enable()
    const startedAt = performance.now()
    for (let sent = 0; sent < perSecond * seconds;) {
      const due = Math.min(perSecond * seconds, Math.floor((performance.now() - startedAt) / 1_000 * perSecond))
      while (sent < due) {
        publishedAt.push(machineMs())
        publish()
        sent++
        if (sent % perSecond === 0) rss.push(process.memoryUsage.rss())
      }
      await sleep(2)
    }
    lag.disable()
    return { rss, publishedAt, lagMs: { p99: lag.percentile(99) / 1e6, max: lag.max / 1e6 } }
  },
  async memory () {
    for (let round = 0; round < 3; round++) {
      global.gc()
      await sleep(100)
    }
    return process.memoryUsage()
  },
  /** CPU time of one publication in ns, by round. */
  async cost ({ rounds, perRound }) {
    const samples = []
    for (let round = 0; round < rounds; round++) {
      const before = process.cpuUsage()
      for (let at = 0; at < perRound; at++) publish()
      const { user, system } = process.cpuUsage(before)
      samples.push((user + system) * 1_000 / perRound)
      await sleep(1)
    }
    return { samples }
  }
}

process.on('message', async ({ order, ...details }) => process.send(await orders[order](details)))
process.send({ port })
await once(process, 'disconnect')
process.exit(0)
