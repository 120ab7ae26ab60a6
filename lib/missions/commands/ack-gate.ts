import { AsyncLocalStorage } from 'node:async_hooks'
import type { MissionState } from '../state/mission-state.js'

/** The updates of a mission that wait for an ack, and the attempt before it, whose updates come first. */
interface Held { readonly waiting: Array<() => void>, readonly previous: MissionState | undefined }

/** One start command that was not acknowledged yet. */
export interface PendingStart {
  isOpen: boolean
  /** The tenant of the client: missions that the handler starts are of this tenant, unless it says another one. */
  readonly tenant: string | undefined
  /** The missions that its handler has started. */
  readonly started: Set<MissionState>
  /** These, and newer attempts of them that others have started. */
  readonly held: Map<MissionState, Held>
}

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

  /** The tenant of the client whose start handler is running. */
  get tenant (): string | undefined { return this.#context.getStore()?.tenant }

  /** To be called for every new mission, with the attempt before it. */
  registered (mission: MissionState, previous: MissionState | undefined): void {
    const own = this.#context.getStore()
    const isOwn = own?.isOpen === true
    if (isOwn) own.started.add(mission)
    const start = isOwn ? own : this.#startOf(previous)
    if (start !== undefined) this.#hold(mission, { waiting: [], previous }, start)
  }

  /** Whether a mission must stay invisible, because its start command is not acknowledged yet. */
  isHolding (mission: MissionState): boolean {
    return this.#starts.get(mission)?.isOpen === true
  }

  /** Emits now, or right after the ack. */
  pass (mission: MissionState, emit: () => void): void {
    const held = this.#starts.get(mission)?.held.get(mission)
    if (held === undefined) emit()
    else held.waiting.push(emit)
  }

  /** The command was acknowledged or refused: emits what was held back, in order. */
  release (start: PendingStart): void {
    start.isOpen = false
    for (const [mission, held] of start.held) {
      const before = this.#startOf(held.previous)
      if (before !== undefined) {
        this.#hold(mission, held, before)
        continue
      }
      // A listener may report again meanwhile; that update is appended, so the order holds.
      for (const emit of held.waiting) emit()
      this.#starts.delete(mission)
    }
    this.heldCount = this.#starts.size
    // A handler that is still running keeps this object alive.
    start.held.clear()
    start.started.clear()
  }

  #startOf (mission: MissionState | undefined): PendingStart | undefined {
    return mission && this.#starts.get(mission)
  }

  #hold (mission: MissionState, held: Held, start: PendingStart): void {
    start.held.set(mission, held)
    this.#starts.set(mission, start)
    this.heldCount = this.#starts.size
  }
}
