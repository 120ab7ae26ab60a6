import { AsyncLocalStorage } from 'node:async_hooks'
import type { Mission } from './mission.js'

/** The work of a mission; its outcome is the mission's. */
export type MissionWork<T> = (mission: Mission) => T | Promise<T>

/** Runs functions of the host as missions and makes sure that each ends exactly once, however the function does. */
export class Runner {
  readonly #current = new AsyncLocalStorage<Mission>()
  // Weak: a function that never settles must not keep its mission for ever.
  readonly #running = new WeakMap<Mission, Promise<unknown>>()

  /** The mission whose function is running here, through any `await`. */
  get current (): Mission | undefined { return this.#current.getStore() }

  /** The outcome of a mission's function, where one is running. */
  runningOf<T> (mission: Mission): Promise<T> | undefined {
    return this.#running.get(mission) as Promise<T> | undefined
  }

  /** Runs `work` as `mission`. The promise has the outcome of `work`; the mission has ended when it settles. */
  run<T> (mission: Mission, work: MissionWork<T>): Promise<T> {
    // Made now, so that a request to cancel knows that somebody could notice it.
    const { signal } = mission
    const running = this.#execute(mission, work, signal).finally(() => this.#running.delete(mission))
    this.#running.set(mission, running)
    return running
  }

  async #execute<T> (mission: Mission, work: MissionWork<T>, signal: AbortSignal): Promise<T> {
    try {
      const value = await this.#current.run(mission, work, mission)
      endUnlessEnded(mission, () => mission.complete())
      return value
    } catch (err) {
      endUnlessEnded(mission, () => { endThrown(mission, err, signal) })
      throw err
    }
  }
}

// A function that ended its mission itself has said all there is; one whose mission was ended without it is late, and that is kept.
function endUnlessEnded (mission: Mission, end: () => void): void {
  if (!mission.isTerminal || mission.isForced) end()
}

function endThrown (mission: Mission, err: unknown, signal: AbortSignal): void {
  if (!signal.aborted) mission.fail(err)
  else mission.report('cancelled', isAbort(err, signal) ? {} : { error: err })
}

// What an aborted signal makes others throw: its own reason, or an AbortError with or without it as the cause.
function isAbort (err: unknown, signal: AbortSignal): boolean {
  if (err === signal.reason) return true
  try {
    return err instanceof Error && (err.name === 'AbortError' || err.cause === signal.reason)
  } catch {
    // An error whose getters throw must not keep its mission from ending.
    return false
  }
}
