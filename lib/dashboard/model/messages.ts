import type { Anomaly } from '../../../schemas/anomaly.js'
import type { HealthDelta } from '../../../schemas/channels/health-delta.js'
import type { MetricsTick } from '../../../schemas/channels/metrics-tick.js'
import type { MissionStats } from '../../../schemas/channels/mission-stats.js'
import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { Client, ClientMissionState } from '../../client/index.js'

/** The events that change the state of the page, by name. */
export interface Messages {
  lost: ClientMissionState
  mission_update: MissionUpdate
  mission_stats: MissionStats
  health_delta: HealthDelta
  anomaly_alert: Anomaly
  metrics_tick: MetricsTick
}

interface Source {
  on <Name extends keyof Messages>(name: Name, listener: (message: Messages[Name]) => void): unknown
}

type Receive = (key: string, apply: () => void) => void

/** Returns a function that adds a listener. `receive` calls the listener with the `key` of the message's subject. */
export const listenVia = (client: Client, receive: Receive) =>
  <Name extends keyof Messages>(name: Name, listener: (message: Messages[Name]) => void): void => {
    (client as unknown as Source).on(name, (message) => {
      const { missionId, alertId } = message as { missionId?: string, alertId?: string }
      receive(missionId ?? alertId ?? name, () => listener(message))
    })
  }
