import type { TerminalStatus } from '../../../schemas/mission.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import { shrinkFairly, type Holder } from '../../base/limits/fair-share.js'
import type { EvictionReason } from '../measures/measures.js'
import type { MissionState } from '../state/mission-state.js'
import type { Deadline, DeadlineQueue } from './deadline-queue.js'

/** What is kept: a mission, of which only the tenant matters here. */
interface Retained { readonly tenant: string | null }

export interface RetentionDeps<Kept extends Retained> {
  clock: Clock
  deadlines: DeadlineQueue
  forget: (mission: Kept, reason: EvictionReason) => void
}

export type RetentionOptions = Pick<ResolvedOptions['missions'], 'endedRetentionMs' | 'maxEnded'>

/** A failure is often looked into on the next day. */
const ERROR_RETENTION_MS = 86_400_000

/** How long ended missions can be looked up: failed ones longer than the others. The totals do not depend on it. */
export class Retention<Kept extends Retained = MissionState> {
  readonly #ended: RetentionQueue<Kept>
  readonly #failed: RetentionQueue<Kept>

  constructor ({ endedRetentionMs, maxEnded }: RetentionOptions, deps: RetentionDeps<Kept>) {
    this.#ended = new RetentionQueue(endedRetentionMs, maxEnded, deps)
    this.#failed = new RetentionQueue(Math.max(endedRetentionMs, ERROR_RETENTION_MS), maxEnded, deps)
  }

  /** `ageMs` is how long ago the mission has ended. */
  put (mission: Kept, status: TerminalStatus, ageMs = 0): void {
    (status === 'error' ? this.#failed : this.#ended).put(mission, ageMs)
  }

  /** A newer attempt has taken the place of an ended one. */
  drop (mission: Kept): void {
    this.#failed.drop(mission)
    this.#ended.drop(mission)
  }
}

/** Beyond the limit, missions of several tenants are dropped down to this share, so that this is rarely needed. */
const KEPT_SHARE = 0.95

/**
 * Ended missions of one kind, bounded by count and age. The oldest of the tenant with the most is dropped first, so
 * that a busy tenant takes no room from the others.
 */
class RetentionQueue<Kept extends Retained> {
  readonly #keepMs: number
  readonly #max: number
  readonly #deps: RetentionDeps<Kept>
  /** When each one is forgotten, oldest first. */
  readonly #kept = new Map<Kept, number>()
  /** How many of each tenant there are. */
  readonly #tenants = new Map<string | null, number>()
  #deadline: Deadline | undefined

  constructor (keepMs: number, max: number, deps: RetentionDeps<Kept>) {
    this.#keepMs = keepMs
    this.#max = max
    this.#deps = deps
  }

  put (mission: Kept, ageMs: number): void {
    const { tenant } = mission
    const { size } = this.#kept
    // Whole numbers take no memory of their own.
    this.#kept.set(mission, Math.ceil(this.#deps.clock.monotonic() + this.#keepMs - ageMs))
    // It may be kept already.
    this.#tenants.set(tenant, (this.#tenants.get(tenant) ?? 0) + this.#kept.size - size)
    this.#trim()
  }

  drop (mission: Kept): void {
    if (!this.#kept.delete(mission)) return
    const { tenant } = mission
    const rest = this.#tenants.get(tenant)! - 1
    if (rest === 0) this.#tenants.delete(tenant)
    else this.#tenants.set(tenant, rest)
  }

  #trim (): void {
    if (this.#kept.size > this.#max && this.#tenants.size > 1) {
      shrinkFairly(this.#holders(), this.#max * KEPT_SHARE)
    }
    const now = this.#deps.clock.monotonic()
    for (const [mission, forgetAt] of this.#kept) {
      const isDue = forgetAt <= now
      if (this.#kept.size <= this.#max && !isDue) return this.#schedule(forgetAt - now)
      this.#forget(mission, isDue ? 'age' : 'capacity')
    }
  }

  // The missions of each tenant, oldest first. Sets of them for all the time would take memory for each mission.
  #holders (): Holder[] {
    const tenants = new Map<string | null, Set<Kept>>()
    for (const mission of this.#kept.keys()) {
      const missions = tenants.get(mission.tenant) ?? new Set()
      tenants.set(mission.tenant, missions.add(mission))
    }
    return Array.from(tenants.values(), (missions) => this.#holderOf(missions))
  }

  #holderOf (missions: Set<Kept>): Holder {
    return {
      get size () { return missions.size },
      shrinkTo: (size) => {
        for (const mission of [...missions].slice(0, missions.size - size)) {
          missions.delete(mission)
          this.#forget(mission, 'capacity')
        }
      }
    }
  }

  #forget (mission: Kept, reason: EvictionReason): void {
    this.drop(mission)
    this.#deps.forget(mission, reason)
  }

  // One deadline for the oldest entry. It stays when that entry goes early, because the next trim looks again.
  #schedule (ms: number): void {
    this.#deadline ??= this.#deps.deadlines.after(ms, () => {
      this.#deadline = undefined
      this.#trim()
    })
  }
}
