import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { OptionsInput } from '../schemas/options.js'
import { systemClock, type Clock } from './base/clock.js'
import { AlreadyRegistered } from './base/errors.js'
import { resolveOptions } from './base/options.js'
import { closeInHooks } from './closing.js'
import { createMissionControl, type MissionControlOptions } from './mission-control.js'
import { createMissions } from './missions/index.js'
import { createMonitoring } from './monitoring/index.js'
import { refuseDuplicates } from './routes/duplicates.js'
import { mountRoutes } from './routes/mount.js'
import { trackRequests } from './routes/track-requests.js'
import { createServices } from './services.js'

/** How long the service waits for the backplane when it starts. Without an answer, it starts all the same. */
const JOIN_MS = 5_000
/** How long it waits for the endings of its missions to be stored when it closes. */
const FLUSH_MS = 2_000
/** With the time to leave the backplane. */
const LEAVE_MS = FLUSH_MS + 2_000

/** Servers that have the plugin. Sibling scopes share no decorators, but a server has one route for each path. */
const SERVERS = new WeakSet<object>()

/**
 * The plugin: checks the options, builds the services, decorates the host with their facades, mounts the routes, and
 * takes everything down on close.
 */
export async function registerMissionControl (app: FastifyInstance, input: MissionControlOptions): Promise<void> {
  if (SERVERS.has(app.server)) throw new AlreadyRegistered()
  const options = resolveOptions(input as OptionsInput, process.env)
  const clock = (options.clock as Clock | undefined) ?? systemClock
  const log = app.log.child({ plugin: 'fastify-mission-control' })
  const services = createServices({ options, clock, log })
  const { missions, monitoring, alerts, hub, exposition, cluster } = services

  // Added before @fastify/websocket is registered: hooks run in order, and its own would close connections without a
  // close code.
  const { closeGraceMs } = options.missions
  closeInHooks(app, {
    closeGraceMs: cluster === undefined ? closeGraceMs : closeGraceMs + LEAVE_MS,
    async close () {
      hub.announceClose(missions.totals.active > 0 ? closeGraceMs : 0)
      await missions.shutdown()
      await cluster?.flush(FLUSH_MS)
      await hub.close()
      await cluster?.close()
    }
  })
  SERVERS.add(app.server)

  app.decorate('missions', createMissions(missions))
  app.decorate('monitoring', createMonitoring(monitoring, alerts))
  app.decorate('missionControl', createMissionControl(services))

  app.addHook('onReady', async () => {
    monitoring.start()
    alerts.start()
    hub.start()
    await cluster?.start(JOIN_MS)
  })
  app.addHook('onClose', async () => {
    missions.close()
    monitoring.close()
    alerts.close()
    exposition.close()
  })
  if (options.monitoring.trackRequests) trackRequests(app, monitoring)
  const mount = async (scope: FastifyInstance) => mountRoutes(scope, { options, clock, ...services })
  const { prefix = '' } = options
  await app.register(mount, { prefix })
  refuseDuplicates(app, app.prefix + prefix, options)
  const isGuarded = services.access.isRestricted || [options.onRequest ?? []].flat().length > 0
  if (!isGuarded) app.addHook('onListen', async () => warnOfOpenRoutes(app, log))
}

const LOOPBACK = /^(127\.|::1$)/

// The address of a Unix socket is its path.
function warnOfOpenRoutes (app: FastifyInstance, log: FastifyBaseLogger): void {
  const isLocal = app.addresses().every((at) => typeof at === 'string' || LOOPBACK.test(at.address))
  log[isLocal ? 'info' : 'warn']('the routes of the plugin are open to everybody; see access and onRequest')
}
