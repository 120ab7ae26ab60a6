import { GAP_CAUSES, SUBSCRIPTION_OUTCOMES } from '../../schemas/messages/server-messages.js'
import { Histogram } from '../base/histogram.js'

const ROUND_TRIP_BOUNDS_MS = [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000]
const FAN_OUT_BOUNDS_MS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000]

/** Counts by names that are known from the start, so that a scrape shows all of them. */
export class LabelledCounter {
  readonly #counts = new Map<string, number>()

  constructor (names: Iterable<string>) {
    for (const name of names) this.#counts.set(name, 0)
  }

  add (name: string): void {
    this.#counts.set(name, this.#counts.get(name)! + 1)
  }

  read (): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }
}

/** Plain counters of the hub; they only ever grow. */
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
  readonly closed: LabelledCounter
  readonly protocolErrors: LabelledCounter

  constructor (names: { refused: Iterable<string>, closed: Iterable<string>, protocolErrors: Iterable<string> }) {
    this.refused = new LabelledCounter(names.refused)
    this.closed = new LabelledCounter(names.closed)
    this.protocolErrors = new LabelledCounter(names.protocolErrors)
  }
}
