import { CLOSE_CODES } from '../../schemas/messages/close-codes.js'
import {
  GAP_CAUSES, PROTOCOL_ERRORS, SUBSCRIPTION_ERRORS, SUBSCRIPTION_OUTCOMES
} from '../../schemas/messages/server-messages.js'
import type { Clock } from '../base/clock.js'
import { Histogram } from '../base/histogram.js'
import { DeliveryMeter } from './delivery/delivery-meter.js'

const ROUND_TRIP_BOUNDS_MS = [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000]
const FAN_OUT_BOUNDS_MS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000]

/** One counter per label. All labels are known from the start, so that each scrape shows all of them. */
export class LabelledCounter {
  readonly #counts = new Map<string, number>()

  constructor (labels: Iterable<string>) {
    for (const label of labels) this.#counts.set(label, 0)
  }

  add (label: string): void {
    this.#counts.set(label, this.#counts.get(label)! + 1)
  }

  read (): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }
}

/** The metrics that the parts of the hub record. Totals never decrease. */
export class HubMetrics {
  connectionsTotal = 0
  messagesSentTotal = 0
  bytesSentTotal = 0
  messagesReceivedTotal = 0
  subscriptionsTotal = 0
  replacedTotal = 0
  droppedTotal = 0
  laggedTotal = 0
  laggingMs = 0
  drainMs = 0
  readonly gaps = new LabelledCounter(GAP_CAUSES)
  readonly outcomes = new LabelledCounter(SUBSCRIPTION_OUTCOMES)
  readonly pingRoundTrip = new Histogram(ROUND_TRIP_BOUNDS_MS)
  readonly fanOut = new Histogram(FAN_OUT_BOUNDS_MS)
  readonly refused: LabelledCounter
  readonly delivery: DeliveryMeter
  readonly closed = new LabelledCounter(Object.keys(CLOSE_CODES))
  readonly protocolErrors = new LabelledCounter(Object.keys({ ...PROTOCOL_ERRORS, ...SUBSCRIPTION_ERRORS }))

  /** `refusals` are the reasons for which upgrades are refused. */
  constructor (refusals: Iterable<string>, clock: Clock) {
    this.delivery = new DeliveryMeter(clock)
    this.refused = new LabelledCounter(refusals)
  }

  /** What the Prometheus exposition shows in addition to the ws-metrics route. */
  read () {
    const { messagesReceivedTotal, bytesSentTotal, replacedTotal, droppedTotal, laggedTotal, laggingMs, drainMs } = this
    return {
      messagesReceivedTotal,
      bytesSentTotal,
      replacedTotal,
      droppedTotal,
      laggedTotal,
      laggingMs,
      drainMs,
      gaps: this.gaps.read(),
      outcomes: this.outcomes.read(),
      refused: this.refused.read(),
      closed: this.closed.read(),
      protocolErrors: this.protocolErrors.read(),
      pingRoundTrip: this.pingRoundTrip.read(),
      fanOut: this.fanOut.read(),
      ...this.delivery.read()
    }
  }
}
