// The process under attack: the built plugin in a plain Fastify app. The parent process controls it over IPC.
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import websocket from '@fastify/websocket'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import Fastify from 'fastify'

const dist = pathToFileURL(resolve(process.env.DIST ?? 'dist')).href
const { default: missionControl } = await import(`${dist}/lib/index.js`)

const lag = monitorEventLoopDelay({ resolution: 1 })
let app
let peakBytes = 0
let cpu
let ids = []

const rss = () => {
  const bytes = process.memoryUsage.rss()
  peakBytes = Math.max(peakBytes, bytes)
  return bytes
}

const commands = {
  async start ({ options = {}, isBesideHost = false, backlog = 4_096 }) {
    app = Fastify()
    if (isBesideHost) await app.register(websocket)
    await app.register(missionControl, options)
    await app.listen({ port: 0, host: '127.0.0.1', backlog })
    lag.enable()
    setInterval(rss, 10).unref()
    return app.server.address().port
  },

  /**
   * Sends mission updates of about `bytes` bytes, `perSecond`, until the process ends: of the active missions of
   * `startMissions`, or of new ones.
   */
  feed ({ perSecond, bytes }) {
    const planningSession = { text: 'x'.repeat(bytes) }
    let count = 0
    const report = () => {
      const id = ids[count++ % ids.length] ?? `mission ${count % 1_000_000}`
      app.missions.report(id, 'execution_progress', { planningSession })
    }
    const timer = setInterval(() => {
      try {
        for (let at = 0; at < perSecond / 50; at++) report()
      } catch (err) {
        if (err.code !== 'FST_MC_CLOSING') throw err
        clearInterval(timer)
      }
    }, 20).unref()
  },

  /** Makes the health snapshot large, so that each subscribe causes a large reply. */
  fillHealth ({ components }) {
    const component = (_, at) => [`component ${at}`, { status: 'healthy', responseTimeMs: at }]
    const named = Object.fromEntries(Array.from({ length: components }, component))
    app.monitoring.reportHealth('healthy', { status: 'healthy', components: named })
  },

  /** Starts missions, `metadataBytes` of metadata each, and ends those from `active` on. */
  async startMissions ({ count, active = count, metadataBytes = 0 }) {
    const text = 'x'.repeat(metadataBytes)
    const missions = []
    while (missions.length < count) {
      missions.push(app.missions.start({ name: `mission ${missions.length}`, ...(text && { metadata: { text } }) }))
      if (missions.length % 100 === 0) await new Promise(setImmediate)
    }
    for (const mission of missions) mission.executionStarted()
    for (const mission of missions.slice(active)) mission.complete()
    ids = missions.slice(0, active).map(({ id }) => id)
    return ids
  },

  resetCpu: () => { cpu = process.cpuUsage() },
  cpuMs () {
    const { user, system } = process.cpuUsage(cpu)
    return (user + system) / 1_000
  },
  resetPeak () {
    globalThis.gc()
    peakBytes = 0
    return rss()
  },
  peak: () => peakBytes,
  resetLag: () => lag.reset(),
  lagMs: () => lag.max / 1e6,

  async counters () {
    const { body } = await app.missionControl.metrics.render()
    const series = body.matchAll(/^mission_control_ws_closed_total\{reason="(\w+)"\} (\d+)$/gm)
    const closed = Object.fromEntries([...series].map(([, reason, count]) => [reason, Number(count)]))
    return { ...app.missionControl.wsMetrics(), closed }
  },

  async close () {
    const startedMs = performance.now()
    await app.close()
    return performance.now() - startedMs
  }
}

process.on('message', async ({ id, command, args = {} }) => {
  try {
    process.send({ id, result: await commands[command](args) })
  } catch (err) {
    process.send({ id, error: String(err) })
  }
})
