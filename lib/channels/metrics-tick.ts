import type { LatencySnapshot } from '../../schemas/metrics.js'
import type { MetricsTick } from '../../schemas/channels/metrics-tick.js'
import { createUnifiedTimestamp, type Clock } from '../base/clock.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel, Publish, Subscriber } from '../hub/channel.js'

export interface MetricsTickChannelDeps {
  clock: Clock
  minIntervalMs: number
  latency: () => LatencySnapshot
  onOperation: (listener: () => void) => Unsubscribe
}

/**
 * `metrics_tick`: latency, sent after an operation was measured, at most once per interval. The first operation after a
 * subscription ticks at once, but only for the new subscriber: a client cannot speed up the ticks of others.
 */
export function createMetricsTickChannel (deps: MetricsTickChannelDeps): Channel<'metrics_tick'> {
  const { clock, minIntervalMs, latency, onOperation } = deps
  let unsubscribe: Unsubscribe | undefined
  let lastTick = -Infinity
  const waiting = new Set<Subscriber>()
  const read = (): MetricsTick => ({ ...latency(), tISO: createUnifiedTimestamp(clock).iso })

  function tick (publish: Publish<'metrics_tick'>): void {
    const now = clock.monotonic()
    if (now - lastTick >= minIntervalMs) {
      lastTick = now
      publish(read())
    } else if (waiting.size > 0) {
      publish(read(), { only: new Set(waiting) })
    }
    waiting.clear()
  }

  return {
    name: 'metrics_tick',
    delivery: () => ({ key: 'metrics_tick' }),
    start (publish) {
      lastTick = -Infinity
      unsubscribe = onOperation(() => tick(publish))
    },
    stop () {
      unsubscribe?.()
      waiting.clear()
    },
    // The first tick after a subscription is sent after the next operation.
    snapshot: () => [],
    joined (subscriber) { waiting.add(subscriber) },
    left (subscriber) { waiting.delete(subscriber) }
  }
}
