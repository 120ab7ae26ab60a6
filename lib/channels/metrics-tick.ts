import type { MetricsTick } from '../../schemas/channels/metrics-tick.js'
import {
  LATENCY_PARTS, type LatencyHistogram, type LatencyPart, type LatencySnapshot, type OperationLatency
} from '../../schemas/metrics.js'
import { createUnifiedTimestamp, type Clock } from '../base/clock.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel, Publish, Selection, Subscriber } from '../hub/channel.js'

export interface MetricsTickChannelDeps {
  clock: Clock
  minIntervalMs: number
  latency: () => LatencySnapshot
  histogram: () => LatencyHistogram
  /** The latency of the busiest operations. */
  operations: () => readonly OperationLatency[]
  onOperation: (listener: () => void) => Unsubscribe
}

/**
 * `metrics_tick`: latency, sent after an operation was measured, at most once per interval. The first operation after a
 * subscription ticks at once, but only for the new subscriber: a client cannot speed up the ticks of others.
 *
 * Additional content is computed once per tick, and only while a subscriber requests it. Subscribers with the same
 * request share one message.
 */
export function createMetricsTickChannel (deps: MetricsTickChannelDeps): Channel<'metrics_tick'> {
  const { clock, minIntervalMs, onOperation } = deps
  let unsubscribe: Unsubscribe | undefined
  let lastTick = -Infinity
  const waiting = new Set<Subscriber>()
  /** The parts that each subscriber asks for. */
  const asked = new Map<Subscriber, string>()

  function tick (publish: Publish<'metrics_tick'>): void {
    const now = clock.monotonic()
    const isDue = now - lastTick >= minIntervalMs
    if (isDue) lastTick = now
    if (isDue || waiting.size > 0) send(publish, isDue ? undefined : new Set(waiting))
    waiting.clear()
  }

  function send (publish: Publish<'metrics_tick'>, only: Set<Subscriber> | undefined): void {
    const plain = { ...deps.latency(), tISO: createUnifiedTimestamp(clock).iso }
    const keys = new Set(asked.values())
    const parts = read([...keys].join())
    for (const key of keys) publish({ ...plain, ...pick(parts, key) }, only && { only })
  }

  function read (keys: string): Parts {
    return {
      ...(keys.includes('histogram') && { histogram: deps.histogram() }),
      ...(keys.includes('operations') && { operations: [...deps.operations()] })
    }
  }

  return {
    name: 'metrics_tick',
    delivery: (payload) => ({ key: 'metrics_tick', attributes: { parts: keyOfPayload(payload) } }),
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
    fits: (attributes, filter) => (attributes as { parts: string }).parts === keyOf(filter),
    joined (subscriber, filter) {
      waiting.add(subscriber)
      asked.set(subscriber, keyOf(filter))
    },
    left (subscriber) {
      waiting.delete(subscriber)
      asked.delete(subscriber)
    }
  }
}

type Parts = Pick<MetricsTick, LatencyPart>

/** The names of the requested additions. */
const keyOf = (filter: Selection | undefined): string =>
  LATENCY_PARTS.filter((part) => filter?.latency?.includes(part)).join()

const keyOfPayload = (payload: MetricsTick): string => LATENCY_PARTS.filter((part) => part in payload).join()

const pick = (parts: Parts, key: string): Parts =>
  Object.fromEntries(Object.entries(parts).filter(([part]) => key.includes(part)))
