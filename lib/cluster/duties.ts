import type { SharedLog } from '../backplane/contract.js'
import type { Clock } from '../base/clock.js'
import type { MissionRegistry } from '../missions/index.js'
import { createLoss, createMissionStep, type PendingStep } from './log/steps.js'
import type { Membership } from './membership.js'
import type { Picture } from './picture/picture.js'

/** How many missions of dead processes are dealt with at each renewal of the lease. */
const MAX_MISSIONS = 1_000
/** How many missions are removed from the log with one call. */
const MAX_REMOVED = 500

export interface DutiesDeps {
  clock: Clock
  log: SharedLog
  registry: MissionRegistry
  picture: Picture
  membership: Membership
  append: (step: PendingStep) => void
}

/** What one process does for all: it looks after the missions of dead processes, and removes what nobody needs. */
export class Duties {
  readonly #deps: DutiesDeps

  constructor (deps: DutiesDeps) {
    this.#deps = deps
  }

  /** To be called when the living processes are known. Whether a process is dead, the log decides. */
  perform (): void {
    const { picture, membership } = this.#deps
    picture.ended.trim()
    if (!membership.isLeader) {
      picture.ended.takeForgotten()
      return
    }
    for (const owner of picture.active.owners()) {
      if (!membership.isAlive(owner)) this.#inherit(owner)
    }
    this.#remove()
  }

  // Missions that ran in a dead process end. Others live on and are watched from here.
  #inherit (owner: string): void {
    const { clock, registry, picture, append } = this.#deps
    for (const mission of [...picture.active.ownedBy(owner)].slice(0, MAX_MISSIONS)) {
      if (mission.isRun) append(createLoss(mission, clock.now()))
      else append(createMissionStep(registry.inherit(mission), undefined))
    }
  }

  #remove (): void {
    const { log, picture } = this.#deps
    const forgotten = picture.ended.takeForgotten()
    if (forgotten.length === 0) return
    const remove = async () => {
      for (let at = 0; at < forgotten.length; at += MAX_REMOVED) {
        await log.remove(forgotten.slice(at, at + MAX_REMOVED).map(({ id, sequence }) => ({ id, sequence })))
      }
    }
    // What is not removed now has a time limit in the log.
    remove().catch(() => {})
  }
}
