import type { CancelKind, MissionTotals } from '../../../schemas/mission.js'
import type { Unsubscribe } from '../../base/events.js'
import type { MissionState } from '../state/mission-state.js'
import type { SharedMission } from '../state/shared/shared-mission.js'
import type { CancelRequest, CancelResult } from '../types.js'

/** The answer of the process that runs a mission to a cancel request. */
export type CancelAnswer = CancelResult | 'owner_unavailable'

/** The missions of all processes of the service, as the shared log knows them. */
export interface SharedMissions {
  find (id: string): SharedMission | undefined
  /** Oldest first. */
  all (): Iterable<SharedMission>
  /** The totals of all processes; with a tenant, those of its missions. */
  totals (tenant?: string): MissionTotals
  /** Calls `listener` when a mission was changed by any process. */
  onChanged (listener: (mission: SharedMission) => void): Unsubscribe
  /** Whether another process is alive that owns the mission. */
  isOwnedElsewhere (mission: MissionState): boolean
  /**
   * Passes a cancel request on to the process that runs the mission. `undefined`: it is this one, or the mission runs
   * nowhere, so the request is to be carried out here. The promise resolves within a second and never rejects.
   */
  forwardCancel (mission: MissionState, kind: CancelKind, request: CancelRequest): Promise<CancelAnswer> | undefined
}
