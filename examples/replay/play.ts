import { setImmediate as turnLoop, setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Trace, TraceMission } from '../traces/index.js'
import { sleepUntil, type TraceClock } from './clock.js'

export interface PlayOptions {
  app: FastifyInstance
  /** The clock of the plugin, at the start of the trace. */
  clock: TraceClock
  /** Multiple of real time; `Infinity` for as fast as possible. */
  speed: number
  /** Time to play after the end of the trace while missions are active, in ms of the trace. */
  stallMs: number
  /** Time to play at the end in any case, in ms of the trace, so that the last `mission_stats` is sent. */
  missionStatsMs: number
  signal: AbortSignal
}

/** Time between two moves of the clock at a limited speed, in ms of real time. */
const PAUSE_MS = 50

/** Runs the missions of a trace, each from its recorded start, until the trace ends or `signal` aborts. */
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
  // Only the trace is played at limited speed. Nothing new starts after it.
  if (app.missions.stats().active > 0) await player.playUntil(lengthMs + stallMs)
  await player.playUntil(player.atMs + missionStatsMs)
}

/** All times are ms since the start of the trace, which is the monotonic time of the clock. */
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
      // Lets promises and sockets that waited for this moment continue before the next timer fires.
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
