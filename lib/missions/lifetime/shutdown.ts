import { afterAtMost, type Clock } from '../../base/clock.js'
import type { MissionState } from '../state/mission-state.js'

export interface ShutdownDeps {
  clock: Clock
  /** How long missions may take to end after they were asked to, in ms. */
  graceMs: number
  /** The missions that end with this process and have not ended, oldest first. */
  active: () => MissionState[]
  /** From now on no mission can be started. */
  onStopped: () => void
}

const REQUEST = { reason: 'The service is closing' }

/** Asks every active mission to end, waits for them, and forces those that have not ended after the grace period. */
export class Shutdown {
  readonly #deps: ShutdownDeps
  #running: Promise<void> | undefined
  #stopWaiting: (() => void) | undefined
  #isClosed = false

  constructor (deps: ShutdownDeps) {
    this.#deps = deps
  }

  /** Resolves when every mission has ended; the same promise for every call. */
  async run (): Promise<void> {
    await (this.#running ??= this.#endAll())
  }

  /** Asks a mission that started during the shutdown to end too. */
  include (mission: MissionState): void {
    if (this.#running !== undefined) mission.requestCancel('shutdown', REQUEST)
  }

  /** To be called when a mission has ended. */
  ended (): void {
    if (this.#stopWaiting !== undefined && this.#deps.active().length === 0) this.#stopWaiting()
  }

  /** Ends the wait. */
  close (): void {
    this.#isClosed = true
    this.#stopWaiting?.()
  }

  async #endAll (): Promise<void> {
    // Newest first: a child would otherwise only learn that its parent was asked to end.
    for (const mission of this.#deps.active().reverse()) mission.requestCancel('shutdown', REQUEST)
    if (this.#deps.active().length > 0 && !this.#isClosed) await this.#idleOrGrace()
    // First, so that a mission that is forced here is not replaced by the host.
    this.#deps.onStopped()
    for (const mission of this.#deps.active()) mission.force()
  }

  async #idleOrGrace (): Promise<void> {
    const { clock, graceMs } = this.#deps
    await new Promise<void>((resolve) => {
      const grace = afterAtMost(clock, graceMs, resolve)
      this.#stopWaiting = () => {
        grace.cancel()
        resolve()
      }
    })
  }
}
