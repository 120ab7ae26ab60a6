import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { VirtualClock } from 'fastify-mission-control'
import type { Trace } from '../traces/index.js'

export interface PlayOptions {
  app: FastifyInstance
  /** The clock of the plugin; it stands at the start of the trace. */
  clock: VirtualClock
  /** Times real time; `Infinity` for as fast as it goes. */
  speed: number
  /** The longest time the clock may move without a pause in which the sockets get their turn, in ms of the trace. */
  longestStepMs: number
  /** Resolves when the sockets have had their turn. */
  settle: () => Promise<void>
  signal: AbortSignal
}

/** Events between two turns of the sockets: few enough that what they send fits in a connection's buffer. */
const EVENTS_AT_ONCE = 200

/** The time between two moves of the clock when the speed is limited, in ms of real time. */
const PAUSE_MS = 50

/** Makes the events of a trace happen in the service, each at its time on the virtual clock, until all have or `signal` aborts. */
export async function play (trace: Trace, options: PlayOptions): Promise<void> {
  const { speed, signal } = options
  const player = new Player(trace, options)
  const startedMs = performance.now()
  while (!player.isDone && !signal.aborted) {
    const elapsedMs = performance.now() - startedMs
    await player.playUntil(speed === Infinity ? trace.to : trace.from + elapsedMs * speed)
    if (speed !== Infinity) await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined)
  }
}

class Player {
  readonly #trace: Trace
  readonly #options: PlayOptions
  #next = 0
  #at: number
  #settledAt: number

  constructor (trace: Trace, options: PlayOptions) {
    this.#trace = trace
    this.#options = options
    this.#at = this.#settledAt = trace.from
  }

  get isDone (): boolean { return this.#next === this.#trace.events.length }

  async playUntil (until: number): Promise<void> {
    const { app, signal } = this.#options
    for (let count = 1; !signal.aborted; count++) {
      const event = this.#trace.events[this.#next]
      if (event === undefined || event.at > until) break
      await this.#moveTo(event.at)
      event.run(app)
      this.#next++
      if (count % EVENTS_AT_ONCE === 0) await this.#settle()
    }
    await this.#moveTo(Math.min(until, this.#trace.to))
    await this.#settle()
  }

  // One big step would fire heartbeat upon heartbeat without a chance for anybody to answer.
  async #moveTo (at: number): Promise<void> {
    while (at - this.#settledAt > this.#options.longestStepMs) {
      this.#advanceTo(this.#settledAt + this.#options.longestStepMs)
      await this.#settle()
    }
    this.#advanceTo(at)
  }

  #advanceTo (at: number): void {
    this.#options.clock.advance(at - this.#at)
    this.#at = at
  }

  async #settle (): Promise<void> {
    await this.#options.settle()
    this.#settledAt = this.#at
  }
}
