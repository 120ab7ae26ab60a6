import { AsyncLocalStorage } from 'node:async_hooks'
import type { MissionState } from '../state/mission-state.js'

/**
 * One start command that was not acknowledged yet: the missions its handler has started, each with the updates that
 * wait for the ack.
 */
export interface PendingStart { isOpen: boolean, readonly updates: Map<MissionState, Array<() => void>> }

/**
 * Holds back the updates of a mission that a client started until the start command is acknowledged, so that the ack is
 * always sent before the first update. The async context shows which missions a start handler has started.
 */
export class AckGate {
  /** How many missions wait for an ack; a plain field, because every report reads it. */
  heldCount = 0
  readonly #context = new AsyncLocalStorage<PendingStart>()
  readonly #starts = new Map<MissionState, PendingStart>()

  /** Runs a start handler: missions that are registered inside of it are held until `release`. */
  run<T> (start: PendingStart, handler: () => T): T {
    return this.#context.run(start, handler)
  }

  /** To be called for every new mission. */
  registered (mission: MissionState): void {
    const start = this.#context.getStore()
    if (start?.isOpen !== true) return
    start.updates.set(mission, [])
    this.#starts.set(mission, start)
    this.heldCount = this.#starts.size
  }

  /** Whether a mission must stay invisible, because its start command is not acknowledged yet. */
  isHolding (mission: MissionState): boolean {
    return this.#starts.get(mission)?.isOpen === true
  }

  /** Emits now, or right after the ack. */
  pass (mission: MissionState, emit: () => void): void {
    const waiting = this.#starts.get(mission)?.updates.get(mission)
    if (waiting === undefined) emit()
    else waiting.push(emit)
  }

  /** The command was acknowledged or refused: emits what was held back, in order. */
  release (start: PendingStart): void {
    start.isOpen = false
    for (const [mission, waiting] of start.updates) {
      // A listener may report again meanwhile; that update is appended, so the order holds.
      for (const emit of waiting) emit()
      this.#starts.delete(mission)
    }
    this.heldCount = this.#starts.size
    // A handler that is still running keeps this object alive.
    start.updates.clear()
  }
}
