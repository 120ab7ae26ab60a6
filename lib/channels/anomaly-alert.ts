import type { Anomaly } from '../../schemas/anomaly.js'
import type { Clock, Timer } from '../base/clock.js'
import type { Channel, Publish } from '../hub/channel.js'

/**
 * `anomaly_alert`: what began, changed its severity or ended since the last evaluation; an alert that goes on says
 * nothing. A new subscriber gets those that are firing.
 */
export function createAnomalyAlertChannel ({ clock, intervalMs, evaluate, firing }: {
  clock: Clock
  intervalMs: number
  evaluate: () => Anomaly[]
  firing: () => Anomaly[]
}): Channel<'anomaly_alert'> {
  let timer: Timer | undefined

  return {
    name: 'anomaly_alert',
    delivery: () => ({}),
    start (publish: Publish<'anomaly_alert'>) {
      // Brings the state up to date after a time without listeners; its subscriber gets the outcome as its snapshot.
      evaluate()
      timer = clock.every(intervalMs, () => { for (const anomaly of evaluate()) publish(anomaly) })
    },
    stop () { timer?.cancel() },
    snapshot: () => firing()
  }
}
