import type { Clock, Timer } from '../../base/clock.js'
import { isBackward, type SharedMission } from '../../missions/index.js'
import type { Picture } from '../picture/picture.js'

/** How long owners may take: they may still have to notice that the log is back. */
const MAX_MS = 5_000

export interface RepairDeps {
  clock: Clock
  picture: Picture
  /** Clients may see the picture from now on. */
  onRepaired: () => void
}

/**
 * Hides a log that has lost entries from clients until the owners have restated every mission that clients had seen.
 * Otherwise missions would disappear or go back for a moment.
 */
export class Repair {
  readonly #deps: RepairDeps
  /** The last state that clients have seen of the missions that must be appended again. */
  readonly #lost = new Map<string, SharedMission>()
  #timer: Timer | undefined

  constructor (deps: RepairDeps) {
    this.#deps = deps
  }

  get isRunning (): boolean { return this.#timer !== undefined }

  /** The picture was loaded again; `before` are the missions that it had. */
  compare (before: Iterable<SharedMission>): void {
    for (const mission of before) if (this.#isLost(mission)) this.#lost.set(mission.id, mission)
  }

  /** The endings that the log has lost of missions that it still has. */
  endings (): SharedMission[] {
    const { picture } = this.#deps
    return [...this.#lost.values()].filter((mission) =>
      mission.isTerminal && picture.find(mission.id)?.attempt === mission.attempt)
  }

  /** Clients see the picture as soon as nothing is lost any more, or after five seconds. */
  begin (): void {
    this.#timer ??= this.#deps.clock.after(MAX_MS, () => this.#end())
    this.followed()
  }

  /** More of the log was read. */
  followed (): void {
    if (!this.isRunning) return
    for (const [id, mission] of this.#lost) {
      // One that is still lost is enough to wait.
      if (this.#isLost(mission)) return
      this.#lost.delete(id)
    }
    this.#end()
  }

  /** Clients see the picture for another reason, or nothing any more. */
  stop (): void {
    this.#lost.clear()
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #end (): void {
    this.stop()
    this.#deps.onRepaired()
  }

  // An ended mission need not be restated: clients know its ending.
  #isLost (mission: SharedMission): boolean {
    const known = this.#deps.picture.find(mission.id)
    if (known === undefined) return !mission.isTerminal
    if (known.attempt !== mission.attempt) return known.attempt < mission.attempt
    return !known.isTerminal && isBackward(mission.status, known.status)
  }
}
