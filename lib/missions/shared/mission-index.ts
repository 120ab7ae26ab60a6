import type { MissionState } from '../state/mission-state.js'
import type { SharedMission } from '../state/shared/shared-mission.js'
import type { ListedMission } from '../payload/listed-mission.js'
import type { SharedMissions } from './shared-missions.js'

export interface MissionIndexDeps {
  adopt: (mission: SharedMission) => MissionState
  /** Called once the adopted mission is one of the local ones. */
  onAdopted: (mission: MissionState) => void
}

/**
 * The missions by id: those of this process, and those of all others if the service has several. A mission of another
 * process becomes a `MissionState` here when the host asks for it.
 */
export class MissionIndex {
  /** The missions with a state in this process, in the order of their start or adoption. */
  readonly local = new Map<string, MissionState>()
  readonly #deps: MissionIndexDeps
  #shared: SharedMissions | undefined

  constructor (deps: MissionIndexDeps) {
    this.#deps = deps
  }

  /** The missions of all processes, if there are several. */
  get shared (): SharedMissions | undefined { return this.#shared }

  share (shared: SharedMissions): void {
    this.#shared = shared
  }

  /** The newest attempt, as the host holds it. */
  find (id: string): MissionState | undefined {
    const local = this.local.get(id)
    const other = this.#newer(id, local)
    if (other === undefined) return local
    const adopted = this.#deps.adopt(other)
    this.local.delete(id)
    this.local.set(id, adopted)
    this.#deps.onAdopted(adopted)
    return adopted
  }

  /** The state in this process of a mission, if the mission is of this tenant. */
  localIn (id: string, tenant: string | undefined): MissionState | undefined {
    const mission = this.local.get(id)
    return tenant === undefined || mission?.tenant === tenant ? mission : undefined
  }

  /** The newest attempt, for reading only. */
  read (id: string): ListedMission | undefined {
    const local = this.local.get(id)
    return this.#newer(id, local) ?? local
  }

  /** All missions that are active or still kept, oldest first. */
  * readAll (): Generator<ListedMission, void, undefined> {
    if (this.#shared === undefined) return yield * this.local.values()
    const shown = new Set<string>()
    for (const mission of this.#shared.all()) {
      shown.add(mission.id)
      yield this.read(mission.id)!
    }
    // Those that the log does not know yet.
    for (const [id, mission] of this.local) if (!shown.has(id) && !mission.isTerminal) yield mission
  }

  // The own state of a mission is never older than that of the log, unless there is another attempt.
  #newer (id: string, local: MissionState | undefined): SharedMission | undefined {
    const other = this.#shared?.find(id)
    return other !== undefined && (local === undefined || other.attempt > local.attempt) ? other : undefined
  }
}
