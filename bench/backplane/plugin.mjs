// The plugin as the measured server; without `redisUrl` alone in its process.
import Fastify from 'fastify'
import { redisBackplane } from '../../dist/lib/backplane/redis/index.js'
import missionControl from '../../dist/lib/index.js'

const LIMITS = { maxConnections: 100_000, maxConnectionsPerSecond: 1_000_000, heartbeatMs: 3_600_000 }

/** Returns its port, `act`, what the steps of missions do, and `app`. */
export async function open ({ name, redisUrl, options = {} }) {
  const app = Fastify()
  await app.register(missionControl, {
    server: { name, version: '1.0' },
    websocket: LIMITS,
    missions: { maxActive: 200_000 },
    ...redisUrl && { backplane: redisBackplane({ client: redisUrl, namespace: 'bench' }) },
    ...options
  })
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 })
  const { missions } = app
  const act = {
    start (slot) { slot.mission = missions.start({ id: slot.id, name: slot.name }) },
    plan: ({ mission }) => mission.planned(),
    execute: ({ mission }) => mission.executionStarted(),
    progress: ({ mission, seq }) => mission.progress({ taskId: 'rows', index: seq, total: 80, status: 'running' }),
    complete: ({ mission }) => mission.complete()
  }
  return { app, port: app.server.address().port, act }
}
