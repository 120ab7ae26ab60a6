import type { CancelKind, MissionTotals } from '../../schemas/mission.js'
import { Events, type Unsubscribe } from '../base/events.js'
import type { CancelAnswer, CancelRequest, MissionState, SharedMission, SharedMissions } from '../missions/index.js'
import type { Cancels } from './cancels.js'
import type { Picture, PictureChange } from './picture/picture.js'
import type { Reports } from './reports.js'

export interface ClusterMissionsDeps {
  picture: Picture
  cancels: Cancels
  reports: Reports
  onListenerError: (err: unknown) => void
}

/** The missions of all processes, for the registry of this one. */
export class ClusterMissions implements SharedMissions {
  readonly #deps: ClusterMissionsDeps
  readonly #events: Events<{ changed: [mission: SharedMission] }>

  constructor (deps: ClusterMissionsDeps) {
    this.#deps = deps
    this.#events = new Events(deps.onListenerError)
  }

  find (id: string): SharedMission | undefined { return this.#deps.picture.find(id) }

  all (): Iterable<SharedMission> { return this.#deps.picture.listed() }

  totals (tenant?: string): MissionTotals {
    const { picture, reports } = this.#deps
    const { active, completed, cancelled, errors, durationSumMs, stalled } = picture.counts.read(tenant)
    const ended = completed + cancelled + errors
    return {
      active,
      completed,
      cancelled,
      errors,
      total: active + ended,
      avgDurationMs: ended === 0 ? null : durationSumMs / ended,
      stalled,
      ...tenant === undefined ? reports.counts() : { lateOutcomes: 0, refused: 0, untracked: 0 }
    }
  }

  onChanged (listener: (mission: SharedMission) => void): Unsubscribe { return this.#events.on('changed', listener) }

  isOwnedElsewhere (mission: MissionState): boolean { return this.#deps.cancels.findOwner(mission) !== undefined }

  forwardCancel (mission: MissionState, kind: CancelKind, request: CancelRequest): Promise<CancelAnswer> | undefined {
    return this.#deps.cancels.forward(mission, kind, request)
  }

  /** Notifies the listeners of what a batch has changed. */
  notify (changes: readonly PictureChange[]): void {
    if (this.#events.count('changed') === 0) return
    for (const mission of new Set(changes.map(({ mission }) => mission))) {
      if (mission !== undefined) this.#events.emit('changed', mission)
    }
  }
}
