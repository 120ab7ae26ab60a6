import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { Clock } from '../clock.js'

interface Ending { update: MissionUpdate, offset: number | undefined, at: number }

export interface EndingsBounds { maxEndings: number, maxAgeMs: number }

/**
 * How missions have ended, kept longer than the log of messages, so that no trim of that hides an ending. Bounded by count and age;
 * the oldest goes first.
 */
export class Endings {
  readonly #clock: Clock
  readonly #bounds: EndingsBounds
  readonly #byId = new Map<string, Ending>()
  // A queue with a moving head, in the order of the offsets.
  #queue: Ending[] = []
  #head = 0

  constructor (clock: Clock, bounds: EndingsBounds) {
    this.#clock = clock
    this.#bounds = bounds
  }

  get count (): number { return this.#queue.length - this.#head }

  /** `offset` is that of the message that told of the ending; absent if nobody was told. */
  put (update: MissionUpdate, offset: number | undefined): void {
    const ending = { update: { ...update, snapshot: true as const }, offset, at: this.#clock.monotonic() }
    this.#queue.push(ending)
    this.#byId.set(update.missionId, ending)
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

  /** The endings with offsets from after `after` up to `upTo`, oldest first. */
  between (after: number, upTo: number): MissionUpdate[] {
    this.#trim()
    return this.#queue.slice(this.#firstAfter(after), this.#firstAfter(upTo)).map(({ update }) => update)
  }

  /** The newest `max` endings with offsets up to `upTo`, oldest first. */
  newest (max: number, upTo: number): MissionUpdate[] {
    this.#trim()
    const end = this.#firstAfter(upTo)
    return this.#queue.slice(Math.max(this.#head, end - max), end).map(({ update }) => update)
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
      this.#head++
      if (this.#byId.get(oldest.update.missionId) === oldest) this.#byId.delete(oldest.update.missionId)
    }
    // Half of it is gone: what is left moves to the front.
    if (this.#head * 2 <= this.#queue.length) return
    this.#queue = this.#queue.slice(this.#head)
    this.#head = 0
  }
}
