import type { MissionSubject } from '../../../schemas/access.js'
import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { CancelState, MissionError, MissionStatus } from '../../../schemas/mission.js'
import type { AttemptHistory, KeptProgress } from '../types.js'
import { toUpdate, type UpdateSource } from './update.js'

/** How one mission ended. Without its metadata and notes, which are not kept. */
export interface EndedMission extends UpdateSource {
  /** When it ended, in ms of the monotonic clock. */
  readonly at: number
  /** Present only if the host restricts access to it. */
  readonly subject: MissionSubject | undefined
  /** Its last update as a snapshot, built on first use. */
  readonly update: MissionUpdate
}

/**
 * How a mission of this process ended. Thousands are kept even if no client ever needs them, so each is one object
 * without copies.
 */
export class EndedCopy implements EndedMission {
  readonly at: number
  readonly id: string
  readonly name: string
  readonly status: MissionStatus
  readonly statusBeforeEnd: MissionStatus | undefined
  readonly seq: number
  readonly firstSeq: number
  readonly attempt: number
  readonly tenant: string | null
  readonly history: AttemptHistory
  readonly tags: readonly string[]
  readonly tagsOmitted: number
  readonly shownParentId: string | null
  readonly objective: string | null
  readonly queuedAt: number | null
  readonly startedAt: number
  readonly endedAt: number | null
  readonly durationMs: number | null
  readonly progress: KeptProgress | null
  readonly error: MissionError | null
  readonly cancel: CancelState | null
  readonly subject: MissionSubject | undefined
  #update: MissionUpdate | undefined

  constructor (mission: UpdateSource, at: number, subject?: MissionSubject) {
    this.at = at
    this.id = mission.id
    this.name = mission.name
    this.status = mission.status
    this.statusBeforeEnd = mission.statusBeforeEnd
    this.seq = mission.seq
    this.firstSeq = mission.firstSeq
    this.attempt = mission.attempt
    this.tenant = mission.tenant
    this.history = mission.history
    this.tags = mission.tags
    this.tagsOmitted = mission.tagsOmitted
    this.shownParentId = mission.shownParentId
    this.objective = mission.objective
    this.queuedAt = mission.queuedAt
    this.startedAt = mission.startedAt
    this.endedAt = mission.endedAt
    this.durationMs = mission.durationMs
    this.progress = mission.progress
    this.error = mission.error
    this.cancel = mission.cancel
    this.subject = subject
  }

  get metadata (): null { return null }
  get notes (): undefined { return undefined }
  get isStalled (): boolean { return false }
  get waiting (): null { return null }

  get update (): MissionUpdate { return (this.#update ??= toUpdate(this)) }
}
