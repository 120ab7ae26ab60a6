import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { UpdatePlace } from '../feed.js'
import type { EndedMission } from '../payload/ended-mission.js'
import { RecentById, type RecentByIdDeps } from './recent-by-id.js'

/** Publishes the last update of a mission and returns its offset. */
type PublishEnding = (update: MissionUpdate, ended: EndedMission, place?: UpdatePlace) => number | undefined

// Small, because thousands are kept, and those of tenants twice.
class KeptEnding {
  readonly ended: EndedMission
  /** `undefined` until a message was published after the ending. */
  offset: number | undefined

  constructor (ended: EndedMission, offset: number | undefined) {
    this.ended = ended
    this.offset = offset
  }

  get id (): string { return this.ended.id }
  get at (): number { return this.ended.at }
}

/**
 * How missions ended, kept longer than the message log, so that trimming the log hides no ending. Bounded by count and
 * age; the oldest is dropped first.
 */
export class EndedMissions {
  // In the order of their offsets.
  readonly #recent: RecentById<KeptEnding>
  readonly #onCount: (change: -1 | 0 | 1) => void
  #lastOffset = 0
  #publish: PublishEnding | undefined

  /** `onCount` is told when the number of kept endings changes, and when nobody publishes them any more. */
  constructor (deps: RecentByIdDeps, onCount: (change: -1 | 0 | 1) => void = () => {}) {
    this.#onCount = onCount
    this.#recent = new RecentById(deps, () => onCount(-1))
  }

  get size (): number { return this.#recent.entries.length }

  /** Whether it holds nothing, and nobody publishes the endings that will come. */
  get isUnused (): boolean { return this.size === 0 && this.#publish === undefined }

  /** From now on endings are published, the next one after `head`. */
  connect (publish: PublishEnding, head: number): void {
    this.#assignOffset(head)
    this.#publish = publish
  }

  disconnect (): void {
    this.#publish = undefined
    this.#onCount(0)
  }

  /** The next log knows nothing of the one before it: all endings come before its first message. */
  restart (): void {
    for (let at = 0; at < this.size; at++) this.#recent.entries.at(at)!.offset = undefined
    this.#lastOffset = 0
  }

  /**
   * Publishes an ending, if anybody receives it, and keeps it. Publishing assigns the offset, unless the ending has a
   * place in a shared log.
   */
  put (ended: EndedMission, update: MissionUpdate | undefined, place?: UpdatePlace): void {
    const publish = this.#publish
    const published = publish && ((update && publish(update, ended, place)) ?? this.#lastOffset)
    const offset = place?.offset ?? published
    this.#lastOffset = offset ?? this.#lastOffset
    this.#recent.put(new KeptEnding(ended, offset))
    this.#onCount(1)
  }

  shrinkTo (size: number): void {
    this.#recent.shrinkTo(size)
  }

  find (id: string): EndedMission | undefined {
    return this.#recent.find(id)?.ended
  }

  /**
   * The endings with offsets after `after` up to `upTo` that `isShown` admits, oldest first; for an id that was used
   * again, only the newest.
   */
  between (after: number, upTo: number, isShown: (ended: EndedMission) => boolean = () => true): EndedMission[] {
    this.#recent.trim()
    const endings = this.#recent.entries.slice(this.#firstAfter(after), this.#firstAfter(upTo))
    return endings.flatMap((kept) => this.#recent.isNewest(kept) && isShown(kept.ended) ? kept.ended : [])
  }

  /** The newest `max` endings with offsets up to `upTo` of missions that `isShown` admits, oldest first. */
  newest (max: number, upTo: number, isShown: (ended: EndedMission) => boolean): EndedMission[] {
    this.#recent.trim()
    const newest: EndedMission[] = []
    for (let at = this.#firstAfter(upTo) - 1; at >= 0 && newest.length < max; at--) {
      const kept = this.#recent.entries.at(at)!
      if (this.#recent.isNewest(kept) && isShown(kept.ended)) newest.push(kept.ended)
    }
    return newest.reverse()
  }

  /** The endings after `last`, oldest first; all of them if it is no longer kept, or not given. */
  after (last: object | undefined): EndedMission[] {
    const { entries } = this.#recent
    let from = entries.length
    while (from > 0 && entries.at(from - 1)!.ended !== last) from--
    return entries.slice(from).map(({ ended }) => ended)
  }

  // No message was published for the endings without an offset.
  #assignOffset (offset: number): void {
    this.#lastOffset = offset
    const { entries } = this.#recent
    for (let at = entries.length - 1; at >= 0; at--) {
      const kept = entries.at(at)!
      if (kept.offset !== undefined) return
      kept.offset = offset
    }
  }

  #firstAfter (offset: number): number {
    return this.#recent.entries.findIndexSorted((kept) => kept.offset! > offset)
  }
}
