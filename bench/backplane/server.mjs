// One server of the comparison in its own process. argv[2] is its kind; it replies to each IPC order with one message.
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

const [, , kind, settings = '{}'] = process.argv
const { open } = await import(kind === 'plugin' ? './plugin.mjs' : './socket-io.mjs')
const { app, port, act } = await open({ kind, ...JSON.parse(settings) })
const ready = { readyMs: performance.now(), rss: process.memoryUsage.rss() }
let lives

const orders = {
  async live (how) {
    const { Lives } = await import('./lives.mjs')
    lives ??= new Lives(act, how)
    return await lives.run(how)
  },
  async calls (how) {
    const { measureCalls } = await import('./calls.mjs')
    return await measureCalls(app.missions, how)
  },
  async fill (how) {
    const { fill } = await import('./calls.mjs')
    await fill(app.missions, how)
    return {}
  },
  /** Counters of the plugin by name, summed over their labels: `names` without the prefix `mission_control_`. */
  async counters ({ names }) {
    const { body } = await app.inject('/api/v1/metrics/prometheus')
    return Object.fromEntries(names.map((name) => [name, sumOf(body, `mission_control_${name}`)]))
  },
  cpu () {
    const { user, system } = process.cpuUsage()
    return { us: user + system }
  },
  /** Time since the start of the process and memory when it was ready, and a while later. */
  async ready () {
    await sleep(2_000)
    return { ...ready, laterRss: process.memoryUsage.rss(), active: app.missions.stats().active }
  }
}

function sumOf (page, name) {
  const lines = page.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

process.on('message', async ({ order, ...details }) => process.send(await orders[order](details)))
process.send({ port })
await once(process, 'disconnect')
process.exit(0)
