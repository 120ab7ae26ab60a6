import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import type { LabelledCounter } from '../metrics.js'
import { EventLoopDelay } from './event-loop-delay.js'
import { TokenBucket } from './token-bucket.js'

/** Why an upgrade was refused. */
export const REFUSALS = ['origin', 'connections', 'address', 'rate', 'overload', 'closing'] as const
export type RefusalReason = (typeof REFUSALS)[number]

export interface AdmissionDeps {
  clock: Clock
  options: ResolvedOptions['websocket']
  /** Counts refusals by reason. */
  refused: LabelledCounter
}

/**
 * Decides whether a new connection may open. Limits the number of connections, in total and per address, and the rate
 * of upgrades; refuses everyone while the event loop is overloaded or the service closes.
 */
export class Admission {
  readonly #deps: AdmissionDeps
  readonly #addresses = new Map<string, number>()
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

  /** Returns `undefined` if one more connection from this address may open, else the reason; counts a refusal. */
  admit (address: string): RefusalReason | undefined {
    const { maxLoopLagMs, maxConnections, maxConnectionsPerAddress } = this.#deps.options
    if (this.#isClosing) return this.refuse('closing')
    if (this.#eventLoopDelay.ms > maxLoopLagMs) return this.refuse('overload')
    if (this.#open >= maxConnections) return this.refuse('connections')
    if ((this.#addresses.get(address) ?? 0) >= maxConnectionsPerAddress) return this.refuse('address')
    // The rate comes last, so that an upgrade refused for another reason takes no token from the others.
    return this.#upgrades.take(this.#deps.clock.monotonic()) ? undefined : this.refuse('rate')
  }

  /** Counts a refusal. */
  refuse (reason: RefusalReason): RefusalReason {
    this.#deps.refused.add(reason)
    return reason
  }

  opened (address: string): void {
    this.#open++
    this.#addresses.set(address, (this.#addresses.get(address) ?? 0) + 1)
  }

  closed (address: string): void {
    this.#open--
    const remaining = this.#addresses.get(address)! - 1
    if (remaining === 0) this.#addresses.delete(address)
    else this.#addresses.set(address, remaining)
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
