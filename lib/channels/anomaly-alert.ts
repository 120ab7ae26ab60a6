import type { Anomaly } from '../../schemas/anomaly.js'
import type { Clock, Timer } from '../base/clock.js'
import type { Channel, Publish } from '../hub/channel.js'

export interface AnomalyAlertChannelDeps {
  clock: Clock
  intervalMs: number
  evaluate: () => Anomaly[]
  firing: () => Anomaly[]
}

/**
 * `anomaly_alert`: alerts that began, changed their severity or ended since the last evaluation. An unchanged alert is
 * not repeated. A new subscriber gets the alerts that are firing.
 */
export function createAnomalyAlertChannel (deps: AnomalyAlertChannelDeps): Channel<'anomaly_alert'> {
  const { clock, intervalMs, evaluate, firing } = deps
  let timer: Timer | undefined

  return {
    name: 'anomaly_alert',
    delivery: () => ({}),
    start (publish: Publish<'anomaly_alert'>) {
      // Nothing was evaluated without subscribers. The new subscriber gets the result as its snapshot.
      evaluate()
      timer = clock.every(intervalMs, () => { for (const anomaly of evaluate()) publish(anomaly) })
    },
    stop () { timer?.cancel() },
    snapshot: () => firing(),
    size: () => firing().length
  }
}
