import fp from 'fastify-plugin'
import { createUnifiedId } from './base/clock.js'
import { bearerToken } from './access/bearer-token.js'
import * as errors from './base/errors.js'
import { createVirtualClock } from './base/virtual-clock.js'
import { CancelledError, EndedElsewhereError } from './missions/index.js'
import type { Monitoring } from './monitoring/index.js'
import type { HostMissions, MissionControl } from './mission-control.js'
import { registerMissionControl } from './plugin.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** The mission registry: report long-running work here. */
    missions: HostMissions
    /** Operations, latency and health. */
    monitoring: Monitoring
    /** The WebSocket hub's counters, the metrics text, and publishing on a channel. */
    missionControl: MissionControl
  }
}

/**
 * The plugin.
 *
 * ```js
 * import Fastify from 'fastify'
 * import missionControl from 'fastify-mission-control'
 *
 * const app = Fastify()
 * await app.register(missionControl, { server: { name: 'imports', version: '1.0.0' } })
 * await app.listen({ port: 3000 })
 *
 * const mission = app.missions.start({ name: 'import' })
 * mission.progress({ taskId: 'rows', index: 1, total: 1, status: 'done' })
 * mission.complete()
 * ```
 */
const missionControl = fp(registerMissionControl, { name: 'fastify-mission-control', fastify: '5.x' })

export default missionControl
// What `require()` gives, so that both module systems get the plugin itself; the other exports are its properties.
export { missionControl, missionControl as 'module.exports' }
Object.assign(missionControl, {
  missionControl, bearerToken, createUnifiedId, createVirtualClock, errors, CancelledError, EndedElsewhereError
})

export type {
  AccessOptions, HostCommandContext as CommandContext, HostHandlers as MissionHandlers, HostMissions as Missions,
  MissionControl, MissionControlOptions
} from './mission-control.js'
export { bearerToken } from './access/bearer-token.js'
export { createUnifiedId, type Clock, type Timer } from './base/clock.js'
export { createVirtualClock, type VirtualClock } from './base/virtual-clock.js'
export * as errors from './base/errors.js'
export {
  CancelledError, EndedElsewhereError, type CancelRequest, type CancelResult, type ChildInit, type Mission,
  type MissionDetails,
  type MissionEvents, type MissionList, type MissionLog, type MissionOutcome, type MissionWork, type ProgressInput,
  type ProgressParts, type Refusal, type ReportDetails, type ReportResult, type SubscribeFilter, type WaitForOptions
} from './missions/index.js'
export type {
  AlertOptions, CheckReport, HealthCheck, HealthEvent, HealthProvider, HostAlertFacts, HostAlertRule, Monitoring,
  MonitoringEvents, OperationSeries, OperationTotals, ReportedHealth
} from './monitoring/index.js'
export type * from '../schemas/index.js'
