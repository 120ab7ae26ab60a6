import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { HealthSnapshot } from '../../schemas/health.js'
import type { LatencyHistogram, LatencySnapshot, OperationLatency } from '../../schemas/metrics.js'
import type { MissionTotals } from '../../schemas/mission.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Clock } from '../base/clock.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel } from '../hub/channel.js'
import type { Endings, ListedMission, MissionFeed } from '../missions/index.js'
import { createAnomalyAlertChannel, type AlertSource } from './anomaly-alert.js'
import { createHealthDeltaChannel } from './health-delta.js'
import { createMetricsTickChannel } from './metrics-tick.js'
import { createMissionStatsChannel } from './mission-stats.js'
import type { Sees } from './mission-filter.js'
import { createMissionUpdateChannel } from './mission-update.js'

export interface ChannelsDeps {
  clock: Clock
  options: ResolvedOptions['channels']
  feed: MissionFeed
  /** The totals of the missions of a tenant, or without a tenant of all. */
  totals: (tenant: string | undefined) => MissionTotals
  toSnapshot: (mission: ListedMission) => MissionUpdate
  endings: Endings
  latency: () => LatencySnapshot
  /** All durations since an epoch. */
  histogram: () => LatencyHistogram
  /** The latency of the busiest operations. */
  operationLatencies: () => readonly OperationLatency[]
  /** Calls `listener` when `latency` may have changed. */
  onLatency: (listener: () => void) => Unsubscribe
  health: () => HealthSnapshot
  onHealth: (listener: (health: HealthSnapshot) => void) => Unsubscribe
  /** The alerts of a tenant; without a tenant, the alerts of operators. */
  createAlerts: (tenant: string | undefined) => AlertSource
  /** Whether a viewer may see a mission; only if the host decides that for each one. */
  sees?: Sees | undefined
}

/**
 * Every channel with its sources, for the clients of one tenant, or for operators. docs/architecture.md lists
 * the steps to add one.
 */
export function createChannels (deps: ChannelsDeps, tenant: string | undefined): Channel[] {
  const { clock, options, feed, toSnapshot, endings, latency, onLatency, totals, createAlerts, sees } = deps
  if (feed.origin === undefined) endings.restart(tenant)
  const show = tenant === undefined ? (health: HealthSnapshot) => health : hideComponents
  const channels = [
    createMetricsTickChannel({
      clock,
      minIntervalMs: options.metricsTickMinMs,
      latency,
      histogram: deps.histogram,
      operations: deps.operationLatencies,
      onOperation: onLatency
    }),
    createHealthDeltaChannel({
      health: () => show(deps.health()),
      onChange: (listener) => deps.onHealth((health) => listener(show(health)))
    }),
    createMissionStatsChannel({
      clock,
      intervalMs: options.missionStatsMs,
      totals: () => totals(tenant)
    }),
    createMissionUpdateChannel({
      clock,
      feed,
      toSnapshot,
      endings: () => endings.of(tenant),
      sees,
      tenant
    }),
    createAnomalyAlertChannel({ alerts: createAlerts(tenant) })
  ]
  // Each channel has its own payload type. The hub looks channels up by name, which restores the pair.
  return channels as unknown as Channel[]
}

// Only operators see which components the service has, which of them fail, and why.
const hideComponents = ({ status, checkedAt }: HealthSnapshot): HealthSnapshot =>
  ({ status, checkedAt, components: {} })
