import { AsyncLocalStorage } from 'node:async_hooks'
import type { Mission } from './mission.js'
import type { MissionState } from './state/mission-state.js'

/** The work of a mission; its outcome is the mission's. */
export type MissionWork<T> = (mission: Mission) => T | Promise<T>

/**
 * Runs functions of the host as missions and makes sure that each mission ends exactly once, however its function
 * settles.
 */
export class Runner {
  readonly #current = new AsyncLocalStorage<MissionState>()
  // Weak: a function that never settles must not keep its mission alive.
  readonly #running = new WeakMap<MissionState, Promise<unknown>>()
  readonly #onRun: (mission: MissionState) => void

  /** `onRun` is called when a function becomes a mission. */
  constructor (onRun: (mission: MissionState) => void) {
    this.#onRun = onRun
  }

  /** The mission whose function is running here, through any `await`. */
  get current (): MissionState | undefined { return this.#current.getStore() }

  /** The promise of a mission's function, while it is running. */
  runningOf<T> (mission: MissionState): Promise<T> | undefined {
    return this.#running.get(mission) as Promise<T> | undefined
  }

  /** Runs `work` as `mission`. The promise settles as `work` does, after the mission has ended. */
  run<T> (mission: MissionState, work: MissionWork<T>): Promise<T> {
    // Created now, so that a cancel request knows that a function can notice it.
    const { signal } = mission
    this.#onRun(mission)
    const running = this.#execute(mission, work, signal).finally(() => this.#running.delete(mission))
    this.#running.set(mission, running)
    return running
  }

  async #execute<T> (mission: MissionState, work: MissionWork<T>, signal: AbortSignal): Promise<T> {
    try {
      const value = await this.#current.run(mission, work, mission.handle)
      endUnlessEnded(mission, () => mission.report('completed', {}))
      return value
    } catch (err) {
      endUnlessEnded(mission, () => endThrown(mission, err, signal))
      throw err
    }
  }
}

// A function that ended its mission itself has the last word. If the mission was ended without it, its own ending is
// late, and is counted.
function endUnlessEnded (mission: MissionState, end: () => void): void {
  if (!mission.isTerminal || mission.isForced) end()
}

function endThrown (mission: MissionState, err: unknown, signal: AbortSignal): void {
  if (!signal.aborted) mission.report('error', { error: err ?? null })
  else mission.report('cancelled', isAbort(err, signal) ? {} : { error: err })
}

// An aborted signal makes other code throw its own reason, or an AbortError with or without the reason as its cause.
function isAbort (err: unknown, signal: AbortSignal): boolean {
  if (err === signal.reason) return true
  try {
    return err instanceof Error && (err.name === 'AbortError' || err.cause === signal.reason)
  } catch {
    // An error whose getters throw must not keep its mission from ending.
    return false
  }
}
