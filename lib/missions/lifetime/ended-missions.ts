import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { CancelState, MissionError, MissionStatus } from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import { toUpdate, type UpdateSource } from '../payload/update.js'
import type { AttemptHistory, KeptProgress } from '../types.js'
import { RecentById, type RecentByIdDeps } from './recent-by-id.js'

/**
 * How missions ended, kept longer than the message log, so that trimming the log hides no ending. Bounded by count and
 * age; the oldest is dropped first.
 */
export class EndedMissions {
  readonly #clock: Clock
  // In the order of their offsets.
  readonly #recent: RecentById<EndedMission>
  #lastOffset = 0

  constructor (deps: RecentByIdDeps) {
    this.#clock = deps.clock
    this.#recent = new RecentById(deps)
  }

  get count (): number { return this.#recent.entries.length }

  /** The newest offset that is known here. */
  get lastOffset (): number { return this.#lastOffset }

  /** Keeps an ending; `offset` is that of the message that carried it, `undefined` if there was none. */
  put (mission: UpdateSource, offset: number | undefined): void {
    this.#lastOffset = offset ?? this.#lastOffset
    this.#recent.put(new EndedMission(mission, offset, this.#clock.monotonic()))
  }

  /** Assigns `offset` to the endings without an offset, because no message was published for them. */
  assignOffset (offset: number): void {
    this.#lastOffset = offset
    const { entries } = this.#recent
    for (let at = entries.length - 1; at >= 0; at--) {
      const ended = entries.at(at)!
      if (ended.offset !== undefined) return
      ended.offset = offset
    }
  }

  find (id: string): MissionUpdate | undefined {
    return this.#recent.find(id)?.update
  }

  /**
   * The endings with offsets after `after` up to `upTo` that `isShown` admits, oldest first; for an id that was used
   * again, only the newest.
   */
  between (after: number, upTo: number, isShown: (ended: UpdateSource) => boolean = () => true): MissionUpdate[] {
    this.#recent.trim()
    const endings = this.#recent.entries.slice(this.#firstAfter(after), this.#firstAfter(upTo))
    return endings.flatMap((ended) => this.#recent.isNewest(ended) && isShown(ended) ? ended.update : [])
  }

  /** The newest `max` endings with offsets up to `upTo` of missions that `isShown` admits, oldest first. */
  newest (max: number, upTo: number, isShown: (id: string) => boolean): MissionUpdate[] {
    this.#recent.trim()
    const newest: MissionUpdate[] = []
    for (let at = this.#firstAfter(upTo) - 1; at >= 0 && newest.length < max; at--) {
      const ended = this.#recent.entries.at(at)!
      if (this.#recent.isNewest(ended) && isShown(ended.id)) newest.push(ended.update)
    }
    return newest.reverse()
  }

  #firstAfter (offset: number): number {
    return this.#recent.entries.findIndexSorted((ended) => ended.offset! > offset)
  }
}

// Thousands are kept even if no client ever needs them, so each is one object without copies. Its update is built on
// first use.
class EndedMission implements UpdateSource {
  offset: number | undefined
  readonly at: number
  readonly id: string
  readonly name: string
  readonly status: MissionStatus
  readonly statusBeforeEnd: MissionStatus | undefined
  readonly seq: number
  readonly firstSeq: number
  readonly attempt: number
  readonly history: AttemptHistory
  readonly tags: readonly string[]
  readonly tagsOmitted: number
  readonly parentId: string | null
  readonly objective: string | null
  readonly queuedAt: number | null
  readonly startedAt: number
  readonly endedAt: number | null
  readonly durationMs: number | null
  readonly progress: KeptProgress | null
  readonly error: MissionError | null
  readonly cancel: CancelState | null
  #update: MissionUpdate | undefined

  constructor (mission: UpdateSource, offset: number | undefined, at: number) {
    this.offset = offset
    this.at = at
    this.id = mission.id
    this.name = mission.name
    this.status = mission.status
    this.statusBeforeEnd = mission.statusBeforeEnd
    this.seq = mission.seq
    this.firstSeq = mission.firstSeq
    this.attempt = mission.attempt
    this.history = mission.history
    this.tags = mission.tags
    this.tagsOmitted = mission.tagsOmitted
    this.parentId = mission.parentId
    this.objective = mission.objective
    this.queuedAt = mission.queuedAt
    this.startedAt = mission.startedAt
    this.endedAt = mission.endedAt
    this.durationMs = mission.durationMs
    this.progress = mission.progress
    this.error = mission.error
    this.cancel = mission.cancel
  }

  // The metadata and the notes of an ended mission are not kept.
  get metadata (): null { return null }
  get notes (): undefined { return undefined }
  get isStalled (): boolean { return false }
  get waiting (): null { return null }

  get update (): MissionUpdate { return (this.#update ??= toUpdate(this)) }
}
