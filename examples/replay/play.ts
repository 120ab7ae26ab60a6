import { setImmediate as turnLoop, setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Trace, TraceMission } from '../traces/index.js'
import { sleepUntil, type TraceClock } from './clock.js'

export interface PlayOptions {
  app: FastifyInstance
  /** The clock of the plugin; it stands at the start of the trace. */
  clock: TraceClock
  /** Times real time; `Infinity` for as fast as it goes. */
  speed: number
  /** How long the clock moves on after the end of the trace if missions are still active then, in ms of the trace. */
  stallMs: number
  /** The same whether missions are active or not; long enough for everybody to be told the last totals. */
  missionStatsMs: number
  signal: AbortSignal
}

/** The time between two moves of the clock when the speed is limited, in ms of real time. */
const PAUSE_MS = 50

/** Runs the missions of a trace in the service, each from its start on the clock, until the trace is over or `signal` aborts. */
export async function play (trace: Trace, options: PlayOptions): Promise<void> {
  const { app, speed, stallMs, missionStatsMs, signal } = options
  const lengthMs = trace.to - trace.from
  const player = new Player(trace, options)
  const startedMs = performance.now()
  while (player.atMs < lengthMs && !signal.aborted) {
    const elapsedMs = performance.now() - startedMs
    await player.playUntil(speed === Infinity ? lengthMs : Math.min(lengthMs, elapsedMs * speed))
    if (speed !== Infinity) await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined)
  }
  // The trace alone is played at its speed: nothing new happens any more.
  if (app.missions.stats().active > 0) await player.playUntil(lengthMs + stallMs)
  await player.playUntil(player.atMs + missionStatsMs)
}

/** Times in here are ms since the start of the trace, which is the monotonic time of the clock. */
class Player {
  readonly #trace: Trace
  readonly #options: PlayOptions
  #next = 0

  constructor (trace: Trace, options: PlayOptions) {
    this.#trace = trace
    this.#options = options
  }

  get atMs (): number { return this.#options.clock.monotonic() }

  async playUntil (untilMs: number): Promise<void> {
    const { clock, signal } = this.#options
    while (!signal.aborted) {
      const stopMs = Math.min(this.#nextStartMs, clock.nextDue)
      if (stopMs > untilMs) break
      clock.moveTo(stopMs)
      this.#startMissions()
      // Whatever waited for this moment goes on now, all of its promises, and the sockets have their turn, before the next timer fires.
      await turnLoop()
    }
    if (!signal.aborted) clock.moveTo(untilMs)
  }

  get #nextStartMs (): number {
    const mission = this.#trace.missions[this.#next]
    return mission === undefined ? Infinity : mission.startsAt - this.#trace.from
  }

  #startMissions (): void {
    while (this.#nextStartMs <= this.atMs) this.#start(this.#trace.missions[this.#next++]!)
  }

  #start ({ init, run }: TraceMission): void {
    const { app, clock } = this.#options
    app.missions.spawn(init, async (mission) => {
      await run(mission, {
        monitoring: app.monitoring,
        until: (at) => sleepUntil(clock, at - this.#trace.from, mission.signal)
      })
    })
  }
}
