import type { CancelKind } from '../../../schemas/mission.js'
import type { Lineage } from '../lineage.js'
import type { MissionIndex } from '../shared/mission-index.js'
import type { MissionState } from '../state/mission-state.js'
import type { MissionGroups } from '../tenants/groups.js'
import type { CancelRequest, MissionOutcome } from '../types.js'
import type { EndedIds } from '../lifetime/ended-ids.js'
import type { Retention } from '../lifetime/retention.js'
import type { Shutdown } from '../lifetime/shutdown.js'
import type { Watchdog } from '../lifetime/watchdog.js'

export interface TransitionsDeps {
  groups: MissionGroups
  index: MissionIndex
  lineage: Lineage
  watchdog: Watchdog
  endedIds: EndedIds
  /** Both are created later. */
  retention: () => Retention
  shutdown: () => Shutdown
}

/** The consequences of a change of one mission for all that know it: counts, relatives, deadlines, retention. */
export class Transitions {
  readonly #deps: TransitionsDeps

  constructor (deps: TransitionsDeps) {
    this.#deps = deps
  }

  /** The missions that end with this process. With several processes, missions that no function runs outlive it. */
  bound (): MissionState[] {
    const { groups, index } = this.#deps
    const active = [...groups.active()]
    return index.shared === undefined ? active : active.filter(({ isRun }) => isRun)
  }

  /** The mission has got a parent. Returns whether that parent was asked to end. */
  linked (mission: MissionState, parentId: string): boolean {
    const { lineage } = this.#deps
    lineage.add(mission, parentId)
    return lineage.isCancelled(parentId)
  }

  /** Starts the grace period and returns the active children. */
  cancelRequested (mission: MissionState, kind: CancelKind): MissionState[] {
    const { watchdog, lineage } = this.#deps
    watchdog.startGrace(mission, kind)
    return lineage.childrenOf(mission.id)
  }

  ended (mission: MissionState, outcome: MissionOutcome): void {
    this.#deps.groups.ended(mission, outcome)
    this.left(mission)
    this.#deps.shutdown().ended()
  }

  /** A mission that is not counted here has ended. */
  left (mission: MissionState): void {
    const { watchdog, lineage } = this.#deps
    watchdog.forget(mission)
    lineage.remove(mission)
  }

  endedElsewhere (mission: MissionState, outcome: MissionOutcome, before: MissionOutcome | undefined): void {
    if (before === undefined) return this.ended(mission, outcome)
    const { groups } = this.#deps
    groups.corrected(mission, before, outcome)
    groups.totals(mission.tenant).lateOutcome()
  }

  /** The ending is complete. Not if a listener of it has started a newer attempt. */
  settled (mission: MissionState): void {
    const { index, retention } = this.#deps
    if (index.local.get(mission.id) === mission) retention().put(mission, mission.outcome!.status)
  }

  forget ({ id, attempt, seq, ended, outcome }: MissionState, at: number): void {
    this.#deps.index.local.delete(id)
    this.#deps.endedIds.put({ id, attempt, seq, ended, status: outcome!.status, at })
  }

  /** Passes a cancel request on to the process that runs the mission; returns `false` if it is this one. */
  forwardCancel (mission: MissionState, kind: CancelKind, request: CancelRequest): boolean {
    return this.#deps.index.shared?.forwardCancel(mission, kind, request) !== undefined
  }
}
