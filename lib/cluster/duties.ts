import type { SharedLog } from '../backplane/contract.js'
import type { Clock } from '../base/clock.js'
import type { MissionRegistry, SharedMission } from '../missions/index.js'
import { createLoss, createMissionStep, type PendingStep } from './log/steps.js'
import type { Membership } from './membership.js'
import type { Picture } from './picture/picture.js'

/** How many missions of a process are dealt with at each renewal of the lease. */
const MAX_MISSIONS = 1_000
/** The log forgets an active mission that is silent for some days. Its owner keeps it so often. */
const KEEP_EVERY_MS = 86_400_000
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

/**
 * The periodic duties of a process: it renews its silent missions in the log. One process has duties for all: it ends
 * the missions of dead processes, and removes expired data.
 */
export class Duties {
  readonly #deps: DutiesDeps
  #keptAt: number
  /** Missions of this process that are silent. */
  #silent: SharedMission[] = []

  constructor (deps: DutiesDeps) {
    this.#deps = deps
    this.#keptAt = deps.clock.monotonic()
  }

  /** To be called when the living processes are known. Whether a process is dead, the log decides. */
  perform (): void {
    const { picture, membership } = this.#deps
    picture.ended.trim()
    this.#keep()
    if (!membership.isLeader) {
      picture.ended.takeForgotten()
      return
    }
    for (const owner of picture.active.owners()) {
      if (!membership.isAlive(owner)) this.#inherit(owner)
    }
    this.#remove()
  }

  #keep (): void {
    const { clock, picture, registry, append } = this.#deps
    if (clock.monotonic() - this.#keptAt >= KEEP_EVERY_MS) {
      this.#keptAt = clock.monotonic()
      this.#silent = this.#findSilent()
    }
    for (const mission of this.#silent.splice(0, MAX_MISSIONS)) {
      if (picture.find(mission.id) !== mission || mission.isTerminal) continue
      append(createMissionStep(registry.find(mission.id)!, undefined))
    }
  }

  #findSilent (): SharedMission[] {
    const { clock, picture, membership } = this.#deps
    const silentSince = clock.now() - KEEP_EVERY_MS
    const owners = picture.active.owners().filter((owner) => membership.isOwn(owner))
    return owners.flatMap((owner) => picture.active.ownedBy(owner))
      .filter(({ updatedAt }) => updatedAt <= silentSince)
  }

  // Missions that ran in a dead process end. Others live on and are watched from here.
  #inherit (owner: string): void {
    const { clock, registry, picture, append } = this.#deps
    for (const mission of picture.active.ownedBy(owner).slice(0, MAX_MISSIONS)) {
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
