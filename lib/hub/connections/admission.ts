import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import type { LabelledCounter } from '../metrics.js'
import { EventLoopDelay } from './event-loop-delay.js'
import { TokenBucket } from './token-bucket.js'

/** Why an upgrade was refused. */
export const REFUSALS = ['origin', 'connections', 'rate', 'overload', 'closing'] as const
export type RefusalReason = (typeof REFUSALS)[number]

/** Above this event loop delay upgrades are refused: more clients would only delay an overloaded process further. */
const MAX_EVENT_LOOP_DELAY_MS = 1_000

export interface AdmissionDeps {
  clock: Clock
  options: ResolvedOptions['websocket']
  /** Counts refusals by reason. */
  refused: LabelledCounter
}

/**
 * Decides whether a new connection may open. Limits the number of connections and the rate of upgrades; refuses
 * everyone while the event loop is overloaded or the service closes.
 */
export class Admission {
  readonly #deps: AdmissionDeps
  readonly #eventLoopDelay = new EventLoopDelay()
  readonly #upgrades: TokenBucket
  #open = 0
  #isClosing = false

  constructor (deps: AdmissionDeps) {
    this.#deps = deps
    this.#upgrades = new TokenBucket(deps.options.maxConnectionsPerSecond, deps.clock.monotonic())
  }

  get isClosing (): boolean { return this.#isClosing }

  /** The longest delay of the event loop within the last second, in ms. */
  get eventLoopDelayMs (): number { return this.#eventLoopDelay.ms }

  /** Returns `undefined` if one more connection may open, else the reason; counts a refusal. */
  admit (): RefusalReason | undefined {
    if (this.#isClosing) return this.refuse('closing')
    if (this.#eventLoopDelay.ms > MAX_EVENT_LOOP_DELAY_MS) return this.refuse('overload')
    if (this.#open >= this.#deps.options.maxConnections) return this.refuse('connections')
    // The rate comes last, so that an upgrade refused for another reason takes no token from the others.
    return this.#upgrades.take(this.#deps.clock.monotonic()) ? undefined : this.refuse('rate')
  }

  /** Counts a refusal. */
  refuse (reason: RefusalReason): RefusalReason {
    this.#deps.refused.add(reason)
    return reason
  }

  opened (): void {
    this.#open++
  }

  closed (): void {
    this.#open--
  }

  /** Starts measuring the delay of the event loop. */
  start (): void {
    this.#eventLoopDelay.start()
  }

  /** Refuses all further connections. */
  stop (): void {
    this.#isClosing = true
  }

  close (): void {
    this.#eventLoopDelay.close()
  }
}
