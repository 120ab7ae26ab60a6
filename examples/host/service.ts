import { monitorEventLoopDelay } from 'node:perf_hooks'
import { readdir } from 'node:fs/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import missionControl from 'fastify-mission-control'
import { startAudit } from './audit.js'
import { listScopes } from './packages.js'
import type { Round } from './round.js'

export interface Service {
  app: FastifyInstance
  /** Publishes the result of a round to the health check and to `GET /last-round`. */
  finishRound (round: Round): void
}

/** Time without activity after which a mission counts as stalled, short enough to see it. */
const STALL_MS = 15_000

const SLOW_LOOP_MS = 200
const MAX_FAILURE_RATE = 0.25

/** The host: a Fastify service with its own route, health checks, and missions that clients can start and cancel. */
export async function createService (root: string): Promise<Service> {
  let lastRound: Round | undefined
  const app = Fastify({ logger: { level: 'error', stream: process.stderr } })
  await app.register(missionControl, {
    server: { name: 'package-audit', version: '1.0.0' },
    dashboard: {
      title: 'Package audit',
      environment: { label: 'demo' },
      links: [{ label: 'Last round', href: '/last-round' }]
    },
    health: { intervalMs: 2_000 },
    missions: { stallMs: STALL_MS },
    monitoring: { trackRequests: true }
  })
  app.get('/', async (_request, reply) => await reply.redirect('/mission-control/'))
  app.get('/last-round', async () => ({ lastRound: lastRound ?? null, missions: app.missions.stats() }))
  addHealthChecks(app, root, () => lastRound)
  await acceptCommands(app, root)
  return { app, finishRound (round) { lastRound = round } }
}

function addHealthChecks (app: FastifyInstance, root: string, lastRound: () => Round | undefined): void {
  app.monitoring.addHealthCheck({ name: 'node_modules', critical: true, run: async () => { await readdir(root) } })

  app.monitoring.addHealthCheck({
    name: 'last-round',
    run () {
      const { missions, errors } = lastRound() ?? { missions: 0, errors: 0 }
      return { status: errors > missions * MAX_FAILURE_RATE ? 'degraded' : 'healthy' }
    }
  })

  const delay = monitorEventLoopDelay()
  delay.enable()
  app.addHook('onClose', async () => { delay.disable() })
  app.monitoring.addHealthCheck({
    name: 'event-loop',
    run () {
      const p99Ms = delay.percentile(99) / 1e6
      delay.reset()
      return { status: p99Ms > SLOW_LOOP_MS ? 'degraded' : 'healthy' }
    }
  })
}

/** The command `/mission {"scope":"@fastify"}` audits that scope. Clients can cancel any running mission. */
async function acceptCommands (app: FastifyInstance, root: string): Promise<void> {
  const scopes = new Map((await listScopes(root)).map((scope) => [scope.name, scope]))
  app.missions.handle({
    start: {
      // The page makes a form from it.
      schema: {
        type: 'object',
        required: ['scope'],
        additionalProperties: false,
        properties: { scope: { type: 'string', title: 'Scope to audit', enum: [...scopes.keys()] } }
      },
      start (_command, { params }) {
        const { scope } = params as { scope: string }
        return startAudit(scopes.get(scope)!, { app, root, paceMs: 0, timeoutMs: 60_000 }).mission
      }
    },
    cancel: {}
  })
}
