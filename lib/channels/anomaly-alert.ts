import type { Anomaly } from '../../schemas/anomaly.js'
import type { Clock, Timer } from '../base/clock.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel, ChannelOrigin, Placement, Publish } from '../hub/channel.js'

/** Alerts that this process evaluates, or that the process which does so has published in a shared log. */
export interface AlertSource {
  /** The changes since the last evaluation. */
  evaluate (): Anomaly[]
  firing (): Anomaly[]
  /** Calls `listener` with the changes that another process has found; then `evaluate` is not called. */
  onPublished?: ((listener: (anomaly: Anomaly, place: Placement) => void) => Unsubscribe) | undefined
  origin?: (() => ChannelOrigin<'anomaly_alert'> | undefined) | undefined
}

export interface AnomalyAlertChannelDeps extends AlertSource {
  clock: Clock
  intervalMs: number
}

/**
 * `anomaly_alert`: alerts that began, changed their severity or ended since the last evaluation. An unchanged alert is
 * not repeated. A new subscriber gets the alerts that are firing.
 */
export function createAnomalyAlertChannel (deps: AnomalyAlertChannelDeps): Channel<'anomaly_alert'> {
  const { clock, intervalMs, evaluate, firing, onPublished, origin } = deps
  let timer: Timer | undefined
  let unsubscribe: Unsubscribe | undefined

  return {
    name: 'anomaly_alert',
    delivery: () => ({}),
    ...(origin !== undefined && { origin }),
    start (publish: Publish<'anomaly_alert'>) {
      if (onPublished !== undefined) {
        unsubscribe = onPublished((anomaly, place) => publish(anomaly, { place }))
        return
      }
      // Nothing was evaluated without subscribers. The new subscriber gets the result as its snapshot.
      evaluate()
      timer = clock.every(intervalMs, () => { for (const anomaly of evaluate()) publish(anomaly) })
    },
    stop () {
      timer?.cancel()
      unsubscribe?.()
    },
    snapshot: () => firing(),
    size: () => firing().length
  }
}
