import type { MissionSubject } from '../../../../schemas/access.js'
import type { MissionUpdate } from '../../../../schemas/channels/mission-update.js'
import type { CancelState, MissionError, MissionStatus } from '../../../../schemas/mission.js'
import type { EndedMission } from '../../payload/ended-mission.js'
import { toUpdate, type UpdateSource } from '../../payload/update.js'
import type { AttemptHistory, KeptProgress } from '../../types.js'

/** How a mission of the shared log ended. The mission is kept anyway and does not change any more. */
export class SharedEnding implements EndedMission {
  readonly at: number
  readonly subject: MissionSubject | undefined
  readonly #mission: UpdateSource
  #update: MissionUpdate | undefined

  constructor (mission: UpdateSource, at: number, subject: MissionSubject | undefined) {
    this.at = at
    this.subject = subject
    this.#mission = mission
  }

  get id (): string { return this.#mission.id }
  get name (): string { return this.#mission.name }
  get status (): MissionStatus { return this.#mission.status }
  get statusBeforeEnd (): MissionStatus | undefined { return this.#mission.statusBeforeEnd }
  get seq (): number { return this.#mission.seq }
  get firstSeq (): number { return this.#mission.firstSeq }
  get attempt (): number { return this.#mission.attempt }
  get tenant (): string | null { return this.#mission.tenant }
  get history (): AttemptHistory { return this.#mission.history }
  get tags (): readonly string[] { return this.#mission.tags }
  get tagsOmitted (): number { return this.#mission.tagsOmitted }
  get shownParentId (): string | null { return this.#mission.shownParentId }
  get objective (): string | null { return this.#mission.objective }
  get queuedAt (): number | null { return this.#mission.queuedAt }
  get startedAt (): number { return this.#mission.startedAt }
  get endedAt (): number | null { return this.#mission.endedAt }
  get durationMs (): number | null { return this.#mission.durationMs }
  get progress (): KeptProgress | null { return this.#mission.progress }
  get error (): MissionError | null { return this.#mission.error }
  get cancel (): CancelState | null { return this.#mission.cancel }
  get metadata (): null { return null }
  get notes (): undefined { return undefined }
  get isStalled (): boolean { return false }
  get waiting (): null { return null }

  get update (): MissionUpdate { return (this.#update ??= toUpdate(this)) }
}
