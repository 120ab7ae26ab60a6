import type { FastifyBaseLogger } from 'fastify'
import type { MissionSubject } from '../schemas/access.js'
import type { HealthSnapshot } from '../schemas/health.js'
import type { ResolvedOptions } from '../schemas/options.js'
import type { Viewer } from './access/viewer.js'
import { Access, type AccessRules } from './access/access.js'
import { CallbackErrors } from './base/callback-errors.js'
import type { Clock } from './base/clock.js'
import { callGuarded } from './base/promises.js'
import { createChannels } from './channels/index.js'
import { Hub } from './hub/hub.js'
import {
  createMissionLookup, Endings, MissionRegistry, TenantLabels, toUpdate, type MissionState
} from './missions/index.js'
import { Alerts, evaluateRules, MonitoringService } from './monitoring/index.js'
import { Exposition } from './prometheus/exposition.js'

/** The engines behind the decorators. */
export interface Services {
  access: Access
  missions: MissionRegistry
  monitoring: MonitoringService
  hub: Hub
  exposition: Exposition
}

export interface ServicesDeps { options: ResolvedOptions, clock: Clock, log: FastifyBaseLogger }

/** How long endings are kept at least: a client that was away overnight still receives the endings of its missions. */
const ENDED_RETENTION_MS = 86_400_000

/**
 * Builds the domain, the hub with its channels, and the exposition, in this order: each knows only what stands before
 * it.
 */
export function createServices ({ options, clock, log }: ServicesDeps): Services {
  const callbackErrors = new CallbackErrors(log)
  const onCallbackError = callbackErrors.report
  const access = new Access({ rules: options.access as AccessRules | undefined, clock, onCallbackError })
  const { tenants } = options.prometheus
  const missions = new MissionRegistry({
    clock,
    options: options.missions,
    endedIds: endingsKept(options),
    onCallbackError,
    tenantLabels: tenants && new TenantLabels(tenants),
    hidesUnknownParents: access.isRestricted,
    // A logger of the host that throws must not keep the function from running.
    onUntracked: (reason, err) => callGuarded(
      () => log.warn({ err, reason }, 'a function runs without a tracked mission'),
      (logError) => onCallbackError('log', logError)
    ),
    makeLog: (missionId) => log.child({ missionId })
  })
  const monitoring = new MonitoringService({ clock, health: options.health, log, onCallbackError })
  const hub = createHub({ options, clock, access, missions, monitoring, onCallbackError })
  const exposition = new Exposition({
    clock,
    prefix: options.prometheus.prefix,
    ...(options.prometheus.registry !== undefined && { registry: options.prometheus.registry }),
    // The exposition counts these itself; this only keeps each scrape from logging them.
    onCollectorError: new CallbackErrors(log).report,
    sources: {
      missionTotals: () => missions.totals.read(),
      missionCounts: () => ({
        ...missions.totals.readLabelled(), durationSumMs: missions.totals.durationSumMs, cut: missions.cuts.read()
      }),
      ...(tenants !== undefined && { tenantCounts: () => missions.groups.readLabelled() }),
      operations: () => monitoring.operations(),
      health: () => monitoring.health(),
      hub: () => hub.totals(),
      callbackErrors: () => callbackErrors.read()
    }
  })
  return { access, missions, monitoring, hub, exposition }
}

// Ids of ended missions are remembered for as long as clients can receive their endings.
function endingsKept ({ websocket }: ResolvedOptions): { max: number, maxAgeMs: number } {
  const { maxMessages, maxAgeMs } = websocket.history
  return { max: maxMessages, maxAgeMs: Math.max(maxAgeMs, ENDED_RETENTION_MS) }
}

interface CreateHubDeps
  extends Pick<ServicesDeps, 'options' | 'clock'>, Pick<Services, 'missions' | 'monitoring' | 'access'> {
  onCallbackError: (where: string, err: unknown) => void
}

function createHub ({ options, clock, access, missions, monitoring, onCallbackError }: CreateHubDeps): Hub {
  const endings = new Endings({ clock, ...endingsKept(options), keepsSubjects: access.isNarrowed })
  missions.updates.onEnded((mission, update) => endings.put(mission, update))
  const channels = {
    clock,
    options: options.channels,
    missions,
    toSnapshot: (mission: MissionState) => toUpdate(mission),
    endings,
    monitoring,
    createAlerts: (tenant: string | undefined) => createAlerts(tenant, { missions, monitoring }),
    ...(access.isNarrowed && { sees: (viewer: Viewer, mission: MissionSubject) => access.sees(viewer, mission) })
  }
  return new Hub({
    clock,
    server: options.server,
    options: options.websocket,
    createChannels: (tenant) => createChannels(channels, tenant),
    access,
    commands: missions.commands,
    findMission: createMissionLookup({ registry: missions, endings }),
    onCallbackError
  })
}

const NO_COMPONENTS: HealthSnapshot = { status: 'unknown', checkedAt: null, components: {} }

// The alerts of a tenant are about its missions only, not about the process.
function createAlerts (
  tenant: string | undefined, { missions, monitoring }: Pick<Services, 'missions' | 'monitoring'>
) {
  const alerts = new Alerts()
  const health = () => tenant === undefined ? monitoring.health() : NO_COMPONENTS
  return {
    evaluate: () => alerts.evaluate(evaluateRules({ totals: missions.groups.read(tenant).read(), health: health() })),
    firing: () => alerts.firing()
  }
}
