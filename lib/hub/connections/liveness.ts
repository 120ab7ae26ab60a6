/** How long a client may take to answer a ping: longer than a usable network needs. */
const PONG_TIMEOUT_MS = 10_000

/**
 * Pings are a little more frequent than heartbeats: at the default, one is sent before the idle timeout of 30 s that
 * many proxies have.
 */
export const pingIntervalMs = (heartbeatMs: number): number => heartbeatMs * 5 / 6

/** Turns of the event loop after a ping within which its pong can have been read. */
const MIN_TICKS_TO_ANSWER = 2

/**
 * Whether a peer is alive: when to ping, what a pong means, and when one is overdue. Pure: takes the monotonic time in
 * ms and a count of event loop turns (`tick`). The count makes sure that after a stall of this process a peer whose
 * pong is still unread is not considered dead.
 */
export class Liveness {
  readonly #pingMs: number
  #pingedAt: number
  #pingedTick = 0
  #isAlive = true
  #pendingPongs = 0

  constructor (heartbeatMs: number, now: number) {
    this.#pingMs = pingIntervalMs(heartbeatMs)
    this.#pingedAt = now
  }

  /** The earliest time at which `check` can return something. */
  get nextDue (): number {
    const waitMs = this.#isAlive ? this.#pingMs : Math.min(this.#pingMs, PONG_TIMEOUT_MS)
    return this.#pingedAt + waitMs
  }

  markAlive (): void {
    this.#isAlive = true
  }

  /** What to do now: `ping` the peer (counts as sent), or treat it as `dead`. */
  check (now: number, tick: number): 'ping' | 'dead' | undefined {
    const sinceMs = now - this.#pingedAt
    if (!this.#isAlive) {
      return sinceMs >= PONG_TIMEOUT_MS && tick - this.#pingedTick >= MIN_TICKS_TO_ANSWER ? 'dead' : undefined
    }
    if (sinceMs < this.#pingMs) return undefined
    this.#pingedTick = tick
    this.#isAlive = false
    this.#pendingPongs++
    this.#pingedAt = now
    return 'ping'
  }

  /** Considers the peer alive until the next ping, because the last ping may not have reached it. */
  pause (now: number): void {
    this.#isAlive = true
    this.#pingedAt = now
  }

  /** The round trip of this pong in ms; NaN if it answers an earlier ping, `undefined` if it answers none. */
  takePong (now: number): number | undefined {
    if (this.#pendingPongs === 0) return undefined
    this.#pendingPongs--
    const isLatest = this.#pendingPongs === 0 && !this.#isAlive
    this.#isAlive = true
    return isLatest ? now - this.#pingedAt : NaN
  }
}
