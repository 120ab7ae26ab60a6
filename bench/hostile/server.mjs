// The process under attack: the built plugin in a plain Fastify app. The parent process controls it over IPC.
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import missionControl from '../../dist/lib/index.js'

const lag = monitorEventLoopDelay({ resolution: 1 })
let app
let peakBytes = 0

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

  /** Sends mission updates of about `bytes` bytes, `perSecond`, until the process ends. */
  feed ({ perSecond, bytes }) {
    const planningSession = { text: 'x'.repeat(bytes) }
    let count = 0
    setInterval(() => {
      for (let at = 0; at < perSecond / 50; at++) {
        app.missions.report(`mission ${count++ % 1_000_000}`, 'planned', { planningSession })
      }
    }, 20).unref()
  },

  /** Makes the health snapshot large, so that each subscribe causes a large reply. */
  fillHealth ({ components }) {
    const component = (_, at) => [`component ${at}`, { status: 'healthy', responseTimeMs: at }]
    const named = Object.fromEntries(Array.from({ length: components }, component))
    app.monitoring.reportHealth('healthy', { status: 'healthy', components: named })
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
