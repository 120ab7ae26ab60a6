import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { CancelState, MissionError, MissionStatus, Progress } from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'

/** The little of a mission that has ended that is kept: references to what never changes any more. */
export interface EndedMissionSource {
  readonly id: string
  readonly name: string
  readonly status: MissionStatus
  readonly endedFrom: MissionStatus | undefined
  readonly seq: number
  readonly tags: readonly string[]
  readonly parentId: string | null
  readonly objective: string | null
  readonly startedAt: number
  readonly endedAt: number | null
  readonly lastProgress: Progress | null
  readonly error: MissionError | null
  readonly cancelState: CancelState | null
  readonly outcome: { readonly durationMs: number } | undefined
}

// Ten thousand of them are kept also where nobody ever asks: one object each, and no copy of anything. What viewers get is made when it is
// wanted for the first time.
class EndedMission {
  offset: number | undefined
  readonly at: number
  readonly id: string
  readonly #name: string
  readonly #status: MissionStatus
  readonly #endedFrom: MissionStatus | undefined
  readonly #seq: number
  readonly #tags: readonly string[]
  readonly #parentId: string | null
  readonly #objective: string | null
  readonly #startedAt: number
  readonly #endedAt: number
  readonly #durationMs: number
  readonly #progress: Progress | null
  readonly #error: MissionError | null
  readonly #cancel: CancelState | null
  #update: MissionUpdate | undefined

  constructor (mission: EndedMissionSource, offset: number | undefined, at: number) {
    this.offset = offset
    this.at = at
    this.id = mission.id
    this.#name = mission.name
    this.#status = mission.status
    this.#endedFrom = mission.endedFrom
    this.#seq = mission.seq
    this.#tags = mission.tags
    this.#parentId = mission.parentId
    this.#objective = mission.objective
    this.#startedAt = mission.startedAt
    this.#endedAt = mission.endedAt!
    this.#durationMs = mission.outcome!.durationMs
    this.#progress = mission.lastProgress
    this.#error = mission.error
    this.#cancel = mission.cancelState
  }

  get update (): MissionUpdate {
    return (this.#update ??= {
      missionId: this.id,
      status: this.#status,
      ...(this.#endedFrom !== undefined && { previousStatus: this.#endedFrom }),
      name: this.#name,
      seq: this.#seq,
      startedAt: this.#startedAt,
      endedAt: this.#endedAt,
      ...(this.#tags.length > 0 && { tags: [...this.#tags] }),
      ...(this.#parentId !== null && { parentId: this.#parentId }),
      ...(this.#objective !== null && { objective: this.#objective }),
      ...(this.#progress !== null && { progress: this.#progress }),
      ...(this.#error !== null && { error: this.#error }),
      ...(this.#cancel !== null && { cancel: this.#cancel }),
      durationMs: this.#durationMs,
      snapshot: true
    })
  }
}

export interface EndedMissionsBounds { maxEndings: number, maxAgeMs: number }

/**
 * How missions have ended, kept longer than the log of messages, so that no trim of that hides an ending. Bounded by count and age;
 * the oldest goes first.
 */
export class EndedMissions {
  readonly #clock: Clock
  readonly #bounds: EndedMissionsBounds
  readonly #byId = new Map<string, EndedMission>()
  // A queue with a moving head, in the order of the offsets.
  #queue: Array<EndedMission | undefined> = []
  #head = 0

  constructor (clock: Clock, bounds: EndedMissionsBounds) {
    this.#clock = clock
    this.#bounds = bounds
  }

  get count (): number { return this.#queue.length - this.#head }

  /** `offset` is that of the message that told of the ending; absent if nobody was told. */
  put (mission: EndedMissionSource, offset: number | undefined): void {
    const ending = new EndedMission(mission, offset, this.#clock.monotonic())
    this.#queue.push(ending)
    this.#byId.set(ending.id, ending)
    this.#trim()
  }

  /** Gives the endings that nobody was told of a place: from `offset` on they are in what a subscriber is told at first. */
  settle (offset: number): void {
    for (let at = this.#queue.length - 1; at >= this.#head && this.#queue[at]!.offset === undefined; at--) this.#queue[at]!.offset = offset
  }

  find (id: string): MissionUpdate | undefined {
    this.#trim()
    return this.#byId.get(id)?.update
  }

  /** The endings with offsets from after `after` up to `upTo`, oldest first; of an id that was used again the newest. */
  between (after: number, upTo: number): MissionUpdate[] {
    this.#trim()
    return this.#read(this.#firstAfter(after), this.#firstAfter(upTo))
  }

  /** The newest `max` endings with offsets up to `upTo`, oldest first. */
  newest (max: number, upTo: number): MissionUpdate[] {
    this.#trim()
    const end = this.#firstAfter(upTo)
    return this.#read(Math.max(this.#head, end - max), end)
  }

  #read (from: number, to: number): MissionUpdate[] {
    return this.#queue.slice(from, to).flatMap((ending) => this.#byId.get(ending!.id) === ending ? ending!.update : [])
  }

  // The place in the queue of the first ending beyond an offset.
  #firstAfter (offset: number): number {
    let low = this.#head
    let high = this.#queue.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#queue[middle]!.offset! <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #trim (): void {
    const { maxEndings, maxAgeMs } = this.#bounds
    const oldestAt = this.#clock.monotonic() - maxAgeMs
    for (let oldest = this.#queue[this.#head]; oldest !== undefined; oldest = this.#queue[this.#head]) {
      if (this.count <= maxEndings && oldest.at >= oldestAt) break
      this.#queue[this.#head++] = undefined
      if (this.#byId.get(oldest.id) === oldest) this.#byId.delete(oldest.id)
    }
    // Half of it is gone: what is left moves to the front.
    if (this.#head * 2 <= this.#queue.length) return
    this.#queue = this.#queue.slice(this.#head)
    this.#head = 0
  }
}
