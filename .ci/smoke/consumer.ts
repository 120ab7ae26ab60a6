// The code of a host, compiled with the strictest settings and including the declarations of all dependencies.
import fastify from 'fastify'
import missionControl, { type CommandContext, type MissionHandlers, type Principal } from 'fastify-mission-control'
import { backplaneConformance, createMemoryBackplane, type Backplane } from 'fastify-mission-control/backplane'
import { redisBackplane, type RedisClientLike } from 'fastify-mission-control/redis'
import { connectReporter, type Reporter } from 'fastify-mission-control/reporter'
import { type MissionStatus, type ServerMessage } from 'fastify-mission-control/schemas'

interface User extends Principal { isAdmin: boolean }

const app = fastify()
await app.register(missionControl, {
  server: { name: 'reports', version: '1.0.0' },
  websocket: { allowedOrigins: ['https://ops.example.com'] },
  routes: { health: false },
  onRequest: async (request, reply) => {
    if (request.headers.authorization === undefined) await reply.code(401).send()
  },
  access: {
    identify: ({ headers }): User | null => headers['x-user'] === undefined ? null : { id: String(headers['x-user']), tenant: 'acme', isAdmin: false },
    authorize: (principal: User, { action, mission }) => principal.isAdmin || (action === 'see' && mission?.tenant === principal.tenant)
  }
})

const mission = app.missions.start({ name: 'nightly report' })
mission.report('execution_started')
mission.complete()
app.monitoring.trackOperation({ component: 'reports', operation: 'render', status: 'success', durationMs: 12 })
export const open: number = app.missionControl.wsMetrics().connectionsOpen
export const statusOf = (message: ServerMessage): MissionStatus | undefined =>
  message.type === 'mission_update' ? message.payload.status : undefined

const isAdmin = ({ request }: CommandContext): boolean => request.headers['x-user'] === 'admin'
const handlers: MissionHandlers = {
  start: {
    authorize: (command, { request }) => request.headers['x-user'] !== undefined,
    start: (command, { request, params }) => app.missions.spawn(`${command} for ${request.ip}`, () => params)
  },
  cancel: { authorize: (mission, context) => isAdmin(context) && mission.tenant === 'acme' }
}
app.missions.handle(handlers)
app.missions.handle({ cancel: { authorize: (mission, { request }) => request.headers['x-user'] === mission.tenant } })

// @ts-expect-error an option that does not exist must not compile
await app.register(missionControl, { heartbeat: 1 })

// No Redis client is installed: the types must not need one.
export const connectAll = async (client: RedisClientLike): Promise<Reporter> => {
  const backplane: Backplane = redisBackplane({ client, namespace: 'orders', leaseMs: 30_000 })
  await fastify().register(missionControl, { backplane, prometheus: { scope: 'cluster' } })
  const reporter = await connectReporter({ backplane, service: { name: 'importer' } })
  const { status } = await reporter.missions.start('import').settled()
  return status === 'completed' ? reporter : await connectReporter({ backplane: createMemoryBackplane() })
}
export const checks = backplaneConformance({ createBackplane: () => createMemoryBackplane() }).map(({ title }) => title)

// @ts-expect-error a client must be one
redisBackplane({ client: 1 })
