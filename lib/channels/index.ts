import type { Anomaly } from '../../schemas/anomaly.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { HealthSnapshot } from '../../schemas/health.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Clock } from '../base/clock.js'
import type { Channel } from '../hub/channel.js'
import type { Endings, MissionRegistry, MissionState } from '../missions/index.js'
import type { Monitoring } from '../monitoring/index.js'
import { createAnomalyAlertChannel } from './anomaly-alert.js'
import { createHealthDeltaChannel } from './health-delta.js'
import { createMetricsTickChannel } from './metrics-tick.js'
import { createMissionStatsChannel } from './mission-stats.js'
import type { Sees } from './mission-filter.js'
import { createMissionUpdateChannel } from './mission-update.js'

const HEALTH_CHANGES = ['health_degraded', 'health_critical', 'system_recovery'] as const

export interface ChannelsDeps {
  clock: Clock
  options: ResolvedOptions['channels']
  missions: MissionRegistry
  toSnapshot: (mission: MissionState) => MissionUpdate
  endings: Endings
  monitoring: Monitoring
  /** Creates the alerts for a tenant, or without a tenant those for operators. */
  createAlerts: (tenant: string | undefined) => { evaluate (): Anomaly[], firing (): Anomaly[] }
  /** Whether a viewer may see a mission; only if the host decides that for each one. */
  sees?: Sees | undefined
}

/**
 * Every channel with its sources, for the clients of one tenant, or for operators. docs/architecture.md lists
 * the steps to add one.
 */
export function createChannels (deps: ChannelsDeps, tenant: string | undefined): Channel[] {
  const { clock, options, missions, toSnapshot, endings, monitoring, createAlerts, sees } = deps
  const alerts = createAlerts(tenant)
  endings.restart(tenant)
  const show = tenant === undefined ? (health: HealthSnapshot) => health : hideComponents
  const channels = [
    createMetricsTickChannel({
      clock,
      minIntervalMs: options.metricsTickMinMs,
      latency: () => monitoring.latency(),
      onOperation: (listener) => monitoring.on('operation_metric', listener)
    }),
    createHealthDeltaChannel({
      health: () => show(monitoring.health()),
      onChange (listener) {
        const unsubscribers = HEALTH_CHANGES.map((event) => monitoring.on(event, (health) => listener(show(health))))
        return () => { for (const unsubscribe of unsubscribers) unsubscribe() }
      }
    }),
    createMissionStatsChannel({
      clock,
      intervalMs: options.missionStatsMs,
      totals: () => missions.groups.read(tenant).read()
    }),
    createMissionUpdateChannel({
      clock,
      onUpdate: (listener) => missions.updates.onUpdate(listener, tenant),
      visible: (ids) => missions.visible(tenant, ids),
      isActive: (id) => missions.findIn(tenant, id)?.isTerminal === false,
      toSnapshot,
      endings: () => endings.of(tenant),
      sees,
      tenant
    }),
    createAnomalyAlertChannel({
      clock,
      intervalMs: options.anomalyAlertMs,
      evaluate: () => alerts.evaluate(),
      firing: () => alerts.firing()
    })
  ]
  // Each channel has its own payload type. The hub looks channels up by name, which restores the pair.
  return channels as unknown as Channel[]
}

// Only operators see which components the service has, and which of them fail.
const hideComponents = (health: HealthSnapshot): HealthSnapshot => ({ ...health, components: {} })
