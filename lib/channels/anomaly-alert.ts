import type { Anomaly } from '../../schemas/anomaly.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel, ChannelOrigin, Placement, Publish } from '../hub/channel.js'

/** Alerts that this process evaluates, or that the process which does so has published in a shared log. */
export interface AlertSource {
  firing (): Anomaly[]
  /** Calls `listener` with every change; `place` is that in the shared log, if there is one. */
  onChanged (listener: (anomaly: Anomaly, place?: Placement) => void): Unsubscribe
  origin?: (() => ChannelOrigin<'anomaly_alert'> | undefined) | undefined
}

/**
 * `anomaly_alert`: an alert began, changed its severity or ended, or a reminder of one that still fires. A new
 * subscriber receives the firing alerts.
 */
export function createAnomalyAlertChannel (source: { alerts: AlertSource }): Channel<'anomaly_alert'> {
  const { firing, onChanged, origin } = source.alerts
  let unsubscribe: Unsubscribe | undefined

  return {
    name: 'anomaly_alert',
    delivery: () => ({}),
    ...(origin !== undefined && { origin }),
    start (publish: Publish<'anomaly_alert'>) {
      unsubscribe = onChanged((anomaly, place) => publish(anomaly, { place }))
    },
    stop () { unsubscribe?.() },
    snapshot: () => firing(),
    size: () => firing().length
  }
}
