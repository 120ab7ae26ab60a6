import type { TerminalStatus } from '../../../schemas/mission.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import { shrinkFairly } from '../../base/limits/fair-share.js'
import { Queue } from '../../base/queue.js'
import { Retention, type DeadlineQueue, type SharedMission } from '../../missions/index.js'

export interface EndedSharedDeps {
  clock: Clock
  deadlines: DeadlineQueue
  /** How long ended missions are listed, and how many. */
  options: Pick<ResolvedOptions['missions'], 'endedRetentionMs' | 'maxEnded'>
  /** How many are known beyond that, and for how long in ms: for late reports, and for clients that were away. */
  endedIds: { max: number, maxAgeMs: number }
  /** The mission is no longer known. */
  forget: (mission: SharedMission) => void
}

/** Above the limit, a few more are forgotten, so that this is not needed at each ending. */
const KEPT_SHARE = 0.95
/** The log has a time limit for those that are not removed from it. */
const MAX_FORGOTTEN = 10_000

/**
 * The ended missions of the service. They are listed as long as those of a single process would be, and known for
 * longer. A busy tenant takes no room from the others.
 */
export class EndedShared {
  readonly #deps: EndedSharedDeps
  readonly #tenants = new Map<string | null, Queue<SharedMission>>()
  #retention: Retention<SharedMission>
  #size = 0
  #forgotten: SharedMission[] = []

  constructor (deps: EndedSharedDeps) {
    this.#deps = deps
    this.#retention = this.#createRetention()
  }

  get size (): number { return this.#size }

  /** Whether a mission is active or can still be looked up. */
  isListed (mission: SharedMission): boolean {
    return !mission.isTerminal || mission.isListed
  }

  put (mission: SharedMission): void {
    const { clock, endedIds: { max, maxAgeMs } } = this.#deps
    const ageMs = Math.max(0, clock.now() - (mission.readEndedAt() ?? clock.now()))
    const kept = this.#tenants.get(mission.tenant) ?? new Queue<SharedMission>()
    this.#tenants.set(mission.tenant, kept)
    // Whole numbers take no memory of their own.
    mission.forgetAt = Math.ceil(clock.monotonic() + maxAgeMs - ageMs)
    mission.isListed = true
    kept.push(mission)
    this.#size++
    this.#retention.put(mission, mission.status as TerminalStatus, ageMs)
    this.#trim(mission.tenant, kept)
    if (this.#size > max) this.#makeRoom(Math.floor(max * KEPT_SHARE))
  }

  /** A newer attempt has taken the place of an ended one. */
  drop (mission: SharedMission): void {
    if (mission.isListed) this.#retention.drop(mission)
    mission.isListed = false
  }

  /** The missions that were forgotten since the last call, at most 10,000. */
  takeForgotten (): SharedMission[] {
    const forgotten = this.#forgotten
    this.#forgotten = []
    return forgotten
  }

  /** Forgets what is too old; to be called now and then. */
  trim (): void {
    for (const [tenant, kept] of this.#tenants) this.#trim(tenant, kept)
  }

  clear (): void {
    this.#tenants.clear()
    this.#size = 0
    this.#forgotten = []
    this.#retention = this.#createRetention()
  }

  #createRetention (): Retention<SharedMission> {
    const { options, clock, deadlines } = this.#deps
    const forget = (mission: SharedMission) => { mission.isListed = false }
    return new Retention<SharedMission>(options, { clock, deadlines, forget })
  }

  #trim (tenant: string | null, kept: Queue<SharedMission>): void {
    const now = this.#deps.clock.monotonic()
    while (kept.first !== undefined && kept.first.forgetAt <= now) this.#forgetOldest(kept)
    if (kept.length === 0) this.#tenants.delete(tenant)
  }

  #makeRoom (target: number): void {
    const holders = [...this.#tenants.values()].map((kept) => ({
      get size () { return kept.length },
      shrinkTo: (size: number) => { while (kept.length > size) this.#forgetOldest(kept) }
    }))
    shrinkFairly(holders, target)
  }

  #forgetOldest (kept: Queue<SharedMission>): void {
    const mission = kept.shift()!
    this.#size--
    this.drop(mission)
    this.#deps.forget(mission)
    if (this.#forgotten.length < MAX_FORGOTTEN) this.#forgotten.push(mission)
  }
}
