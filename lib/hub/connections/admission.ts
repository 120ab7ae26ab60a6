import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import type { LabelledCounter } from '../metrics.js'
import { EventLoopDelay } from './event-loop-delay.js'
import { TokenBucket } from './token-bucket.js'

/** Why an upgrade was refused. */
export const REFUSALS = ['host', 'origin', 'connections', 'rate', 'overload', 'closing', 'timeout'] as const
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
 * Decides whether an upgrade may become a connection. Limits the number of connections, together with upgrades that
 * still wait in a hook of the host, and the rate of upgrades; refuses everyone while the event loop is overloaded or
 * the service closes.
 */
export class Admission {
  readonly #deps: AdmissionDeps
  readonly #eventLoopDelay = new EventLoopDelay()
  readonly #upgrades: TokenBucket
  #open = 0
  #admitted = 0
  #isClosing = false

  constructor (deps: AdmissionDeps) {
    this.#deps = deps
    this.#upgrades = new TokenBucket(deps.options.maxConnectionsPerSecond, deps.clock.monotonic())
  }

  get isClosing (): boolean { return this.#isClosing }

  /** The longest delay of the event loop within the last second, in ms. */
  get eventLoopDelayMs (): number { return this.#eventLoopDelay.ms }

  /**
   * Reserves a connection, until `opened` or `release`. Returns `undefined` if one more may open, else the reason.
   */
  admit (): RefusalReason | undefined {
    if (this.#isClosing) return 'closing'
    if (this.#eventLoopDelay.ms > MAX_EVENT_LOOP_DELAY_MS) return 'overload'
    if (this.#open + this.#admitted >= this.#deps.options.maxConnections) return 'connections'
    // The rate comes last, so that an upgrade refused for another reason takes no token from the others.
    if (!this.#upgrades.take(this.#deps.clock.monotonic())) return 'rate'
    this.#admitted++
    return undefined
  }

  /** Releases the reservation of `admit`. `isRefused`: the upgrade was answered and does not count against the rate. */
  release (isRefused: boolean): void {
    this.#admitted--
    if (isRefused) this.#upgrades.putBack()
  }

  /** Counts a refusal. */
  refuse (reason: RefusalReason): RefusalReason {
    this.#deps.refused.add(reason)
    return reason
  }

  /** An admitted upgrade became a connection. */
  opened (): void {
    this.#admitted--
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
