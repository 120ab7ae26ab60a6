// The code of a host, compiled with the strictest settings and including the declarations of all dependencies.
import fastify from 'fastify'
import missionControl from 'fastify-mission-control'
import { type MissionStatus, type ServerMessage } from 'fastify-mission-control/schemas'

const app = fastify()
await app.register(missionControl, {
  server: { name: 'reports', version: '1.0.0' },
  websocket: { allowedOrigins: ['https://ops.example.com'] },
  routes: { health: false },
  onRequest: async (request, reply) => {
    if (request.headers.authorization === undefined) await reply.code(401).send()
  }
})

const mission = app.missions.start({ name: 'nightly report' })
mission.report('execution_started')
mission.complete()
app.monitoring.trackOperation({ component: 'reports', operation: 'render', status: 'success', durationMs: 12 })
export const open: number = app.missionControl.wsMetrics().connectionsOpen
export const statusOf = (message: ServerMessage): MissionStatus | undefined =>
  message.type === 'mission_update' ? message.payload.status : undefined

// @ts-expect-error an option that does not exist must not compile
await app.register(missionControl, { heartbeat: 1 })
