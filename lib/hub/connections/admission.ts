import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import type { LabelledCounter } from '../metrics.js'
import { EventLoopDelay } from './event-loop-delay.js'
import { TokenBucket } from './token-bucket.js'

/** Why an upgrade was refused before it happened. */
export const REFUSALS = ['origin', 'connections', 'address', 'rate', 'overload', 'closing'] as const
export type RefusalReason = (typeof REFUSALS)[number]

/** Who may come in: how many, how many from one address, how many in a second, and nobody while the process is too busy or closes. */
export class Admission {
  readonly #options: ResolvedOptions['websocket']
  readonly #clock: Clock
  readonly #refused: LabelledCounter
  readonly #addresses = new Map<string, number>()
  readonly #eventLoopDelay = new EventLoopDelay()
  readonly #arrivals: TokenBucket
  #open = 0
  #isClosing = false

  constructor (options: ResolvedOptions['websocket'], { clock, refused }: { clock: Clock, refused: LabelledCounter }) {
    this.#options = options
    this.#clock = clock
    this.#refused = refused
    this.#arrivals = new TokenBucket(options.maxConnectionsPerSecond, clock.monotonic())
  }

  get isClosing (): boolean { return this.#isClosing }

  /** Worst lateness of the event loop within the last second, in ms. */
  get loopLagMs (): number { return this.#eventLoopDelay.ms }

  /** Whether one more connection from this address may open, and if not, why; a refusal is counted. */
  admit (address: string): RefusalReason | undefined {
    const { maxLoopLagMs, maxConnections, maxConnectionsPerAddress } = this.#options
    if (this.#isClosing) return this.refuse('closing')
    if (this.#eventLoopDelay.ms > maxLoopLagMs) return this.refuse('overload')
    if (this.#open >= maxConnections) return this.refuse('connections')
    if ((this.#addresses.get(address) ?? 0) >= maxConnectionsPerAddress) return this.refuse('address')
    // Last: who is refused for another reason takes nothing from the others.
    return this.#arrivals.take(this.#clock.monotonic()) ? undefined : this.refuse('rate')
  }

  /** Counts a refusal. */
  refuse (reason: RefusalReason): RefusalReason {
    this.#refused.add(reason)
    return reason
  }

  opened (address: string): void {
    this.#open++
    this.#addresses.set(address, (this.#addresses.get(address) ?? 0) + 1)
  }

  closed (address: string): void {
    this.#open--
    const left = this.#addresses.get(address)! - 1
    if (left === 0) this.#addresses.delete(address)
    else this.#addresses.set(address, left)
  }

  /** Begins to look at how late the event loop is. */
  start (): void {
    this.#eventLoopDelay.start()
  }

  /** From now on nobody is admitted. */
  end (): void {
    this.#isClosing = true
  }

  close (): void {
    this.#eventLoopDelay.close()
  }
}
