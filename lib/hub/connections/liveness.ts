/** Turns of the event loop after a ping in which an answer can have been read. */
const TURNS_TO_ANSWER = 2

/**
 * Whether a peer is alive: when to ask, what an answer says, and when there was none for too long. Times are ms that never go back, `turn`
 * counts turns of the event loop: after a stall of this process nobody is taken for dead whose answer only was not read yet.
 */
export class Pulse {
  readonly #pingMs: number
  readonly #pongTimeoutMs: number
  #askedAt: number
  #askedTurn = 0
  #isAnswering = true
  #owedPongs = 0

  constructor ({ pingMs, pongTimeoutMs }: { pingMs: number, pongTimeoutMs: number }, now: number) {
    this.#pingMs = pingMs
    this.#pongTimeoutMs = pongTimeoutMs
    this.#askedAt = now
  }

  /** When `due` may have something to say next. */
  get nextDue (): number { return this.#askedAt + (this.#isAnswering ? this.#pingMs : Math.min(this.#pingMs, this.#pongTimeoutMs)) }

  answered (): void {
    this.#isAnswering = true
  }

  /** What is to be done now; `ping` counts as asked. */
  due (now: number, turn: number): 'ping' | 'dead' | undefined {
    const sinceMs = now - this.#askedAt
    if (!this.#isAnswering) return sinceMs >= this.#pongTimeoutMs && turn - this.#askedTurn >= TURNS_TO_ANSWER ? 'dead' : undefined
    if (sinceMs < this.#pingMs) return undefined
    this.#askedTurn = turn
    this.#isAnswering = false
    this.#owedPongs++
    this.#askedAt = now
    return 'ping'
  }

  /** Takes no answer for death until it is asked again, because the question may not have reached the peer. */
  rest (now: number): void {
    this.#isAnswering = true
    this.#askedAt = now
  }

  /** The time from the ping to this pong; NaN for one that belongs to an older ping, `undefined` for one that nobody asked for. */
  takePong (now: number): number | undefined {
    if (this.#owedPongs === 0) return undefined
    this.#owedPongs--
    const isLatest = this.#owedPongs === 0 && !this.#isAnswering
    this.#isAnswering = true
    return isLatest ? now - this.#askedAt : NaN
  }
}
