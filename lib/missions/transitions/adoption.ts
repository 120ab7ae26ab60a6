import type { Transitions } from './transitions.js'
import type { Lineage } from '../lineage.js'
import type { MissionStateDeps } from '../state/deps.js'
import { MissionState } from '../state/mission-state.js'
import type { SharedMission } from '../state/shared/shared-mission.js'
import { Totals } from '../totals.js'

export interface AdoptionDeps {
  /** What the missions of the registry share. */
  stateDeps: MissionStateDeps<MissionState>
  transitions: Transitions
  lineage: Lineage
}

/**
 * Creates the states of missions that were started in other processes. They can be reported, awaited and cancelled like
 * any other, but the process that has started them counts them.
 */
export class Adoption {
  readonly #deps: AdoptionDeps
  readonly #uncounted: MissionStateDeps<MissionState>

  constructor (deps: AdoptionDeps) {
    const { stateDeps, transitions } = deps
    const totals = new Totals()
    const left = (mission: MissionState) => transitions.left(mission)
    this.#deps = deps
    this.#uncounted = {
      ...stateDeps,
      totals: () => totals,
      registry: { ...stateDeps.registry, ended: left, endedElsewhere: left }
    }
  }

  adopt (shared: SharedMission): MissionState {
    const { id, attempt, tenant, seq, ended, parentId } = shared
    const mission = new MissionState(this.#uncounted, {
      id,
      number: shared.number,
      attempt,
      init: tenant === null ? {} : { tenant },
      isTracked: true,
      previous: undefined,
      lastSeq: seq,
      ended: ended - 1
    })
    mission.restore(shared)
    if (!mission.isTerminal && parentId !== null) this.#deps.lineage.add(mission, parentId)
    return mission
  }
}
