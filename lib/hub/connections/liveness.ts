/** Turns of the event loop after a ping in which an answer can have been read. */
const TICKS_TO_ANSWER = 2

/**
 * Whether a peer is alive: when to ask, what an answer says, and when there was none for too long. Times are ms that never go back, `turn`
 * counts turns of the event loop: after a stall of this process nobody is taken for dead whose answer only was not read yet.
 */
export class Liveness {
  readonly #pingMs: number
  readonly #pongTimeoutMs: number
  #pingedAt: number
  #pingedTick = 0
  #isAlive = true
  #pendingPongs = 0

  constructor ({ pingMs, pongTimeoutMs }: { pingMs: number, pongTimeoutMs: number }, now: number) {
    this.#pingMs = pingMs
    this.#pongTimeoutMs = pongTimeoutMs
    this.#pingedAt = now
  }

  /** When `due` may have something to say next. */
  get nextDue (): number { return this.#pingedAt + (this.#isAlive ? this.#pingMs : Math.min(this.#pingMs, this.#pongTimeoutMs)) }

  markAlive (): void {
    this.#isAlive = true
  }

  /** What is to be done now; `ping` counts as asked. */
  check (now: number, turn: number): 'ping' | 'dead' | undefined {
    const sinceMs = now - this.#pingedAt
    if (!this.#isAlive) return sinceMs >= this.#pongTimeoutMs && turn - this.#pingedTick >= TICKS_TO_ANSWER ? 'dead' : undefined
    if (sinceMs < this.#pingMs) return undefined
    this.#pingedTick = turn
    this.#isAlive = false
    this.#pendingPongs++
    this.#pingedAt = now
    return 'ping'
  }

  /** Takes no answer for death until it is asked again, because the question may not have reached the peer. */
  pause (now: number): void {
    this.#isAlive = true
    this.#pingedAt = now
  }

  /** The time from the ping to this pong; NaN for one that belongs to an older ping, `undefined` for one that nobody asked for. */
  takePong (now: number): number | undefined {
    if (this.#pendingPongs === 0) return undefined
    this.#pendingPongs--
    const isLatest = this.#pendingPongs === 0 && !this.#isAlive
    this.#isAlive = true
    return isLatest ? now - this.#pingedAt : NaN
  }
}
