import type { Anomaly } from '../../schemas/anomaly.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Clock } from '../base/clock.js'
import type { Channel } from '../hub/channel.js'
import type { EndedMissions, MissionRegistry, MissionState } from '../missions/index.js'
import type { Monitoring } from '../monitoring/index.js'
import { createAnomalyAlertChannel } from './anomaly-alert.js'
import { createHealthDeltaChannel } from './health-delta.js'
import { createMetricsTickChannel } from './metrics-tick.js'
import { createMissionStatsChannel } from './mission-stats.js'
import { createMissionUpdateChannel } from './mission-update.js'

const HEALTH_CHANGES = ['health_degraded', 'health_critical', 'system_recovery'] as const

export interface ChannelsDeps {
  clock: Clock
  options: ResolvedOptions['channels']
  missions: MissionRegistry
  toSnapshot: (mission: MissionState) => MissionUpdate
  ended: EndedMissions
  monitoring: Monitoring
  alerts: { evaluate (): Anomaly[], firing (): Anomaly[] }
}

/** Every channel with its sources. docs/architecture.md lists the steps to add one. */
export function createChannels (deps: ChannelsDeps): Channel[] {
  const { clock, options, missions, toSnapshot, ended, monitoring, alerts } = deps
  const channels = [
    createMetricsTickChannel({
      clock,
      minIntervalMs: options.metricsTickMinMs,
      latency: () => monitoring.latency(),
      onOperation: (listener) => monitoring.on('operation_metric', listener)
    }),
    createHealthDeltaChannel({
      health: () => monitoring.health(),
      onChange (listener) {
        const unsubscribers = HEALTH_CHANGES.map((event) => monitoring.on(event, listener))
        return () => { for (const unsubscribe of unsubscribers) unsubscribe() }
      }
    }),
    createMissionStatsChannel({ clock, intervalMs: options.missionStatsMs, totals: () => missions.totals.read() }),
    createMissionUpdateChannel({
      clock,
      updates: missions.updates,
      visible: (ids) => missions.visible(ids),
      isActive: (id) => missions.find(id)?.isTerminal === false,
      toSnapshot,
      ended
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
