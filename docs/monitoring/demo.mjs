// A service with work of all kinds, for the board: `node demo.mjs`. PORT is 3000 by default.
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import missionControl from 'fastify-mission-control'
import { collectDefaultMetrics, Registry } from 'prom-client'

const between = (least, most) => least + Math.random() * (most - least)

const registry = new Registry()
collectDefaultMetrics({ register: registry })

const app = Fastify({ logger: { level: 'warn' } })
await app.register(missionControl, { prometheus: { registry } })
app.monitoring.addHealthCheck({ name: 'database', run: () => sleep(between(1, 20)) })
await app.listen({ port: Number(process.env.PORT ?? 3_000), host: '0.0.0.0' })

/** Reads a page of rows, which sometimes fails. */
function query () {
  return app.monitoring.time('database', 'query', async () => {
    await sleep(between(5, 60))
    if (Math.random() < 0.003) throw Object.assign(new Error('the connection was lost'), { code: 'ECONNRESET' })
  })
}

async function work (mission) {
  const total = Math.ceil(between(5, 50))
  for (let index = 1; index <= total; index++) {
    await query()
    mission.progress({ taskId: 'rows', index, total, status: index < total ? 'running' : 'completed' })
  }
}

const NAMES = ['import', 'export', 'report']
while (app.server.listening) {
  app.missions.spawn(NAMES[Math.floor(between(0, NAMES.length))], work)
  await sleep(between(200, 2_000))
}
