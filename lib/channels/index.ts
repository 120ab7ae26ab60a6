import type { Anomaly } from '../../schemas/anomaly.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Clock } from '../base/clock.js'
import type { Channel } from '../hub/channel.js'
import type { Missions } from '../missions/index.js'
import type { Monitoring } from '../monitoring/index.js'
import { createAnomalyAlertChannel } from './anomaly-alert.js'
import { createHealthDeltaChannel } from './health-delta.js'
import { createMetricsTickChannel } from './metrics-tick.js'
import { createMissionStatsChannel } from './mission-stats.js'
import type { EndedMissions } from '../missions/lifetime/ended-missions.js'
import { createMissionUpdateChannel } from './mission-update.js'

const HEALTH_CHANGES = ['health_degraded', 'health_critical', 'system_recovery'] as const

/** Every channel, fed by the two domain services. A new channel is one more entry. */
export function createChannels ({ clock, options, missions, endings, monitoring, alerts }: {
  clock: Clock
  options: ResolvedOptions['channels']
  missions: Missions
  endings: EndedMissions
  monitoring: Monitoring
  alerts: { evaluate (): Anomaly[], firing (): Anomaly[] }
}): Channel[] {
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
    createMissionStatsChannel({ clock, intervalMs: options.missionStatsMs, totals: () => missions.stats() }),
    createMissionUpdateChannel({
      told: () => missions.visible(),
      isActive: (id) => missions.get(id)?.isTerminal === false,
      endings,
      onUpdate: (listener) => missions.on('mission_update', listener),
      onEnded: (listener) => missions.on('mission_ended', listener)
    }),
    createAnomalyAlertChannel({
      clock,
      intervalMs: options.anomalyAlertMs,
      evaluate: () => alerts.evaluate(),
      firing: () => alerts.firing()
    })
  ]
  // Each channel takes its own payload type; the hub keeps them by name, which is what pairs the two again.
  return channels as unknown as Channel[]
}
