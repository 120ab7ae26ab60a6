import { isTerminal } from '../../../schemas/mission.js'
import type { MissionEntry, StoredCounts } from '../contract.js'

/** The number of tenants without an active mission whose counts are kept. */
const MAX_IDLE_TENANTS = 10_000

const FIELD = { completed: 'completed', cancelled: 'cancelled', error: 'errors' } as const

type Counts = { -readonly [Key in keyof StoredCounts]: StoredCounts[Key] }

/**
 * How many missions are active and how many have ended: of all missions, and of each tenant. Of too many tenants
 * without an active mission, the one that has been idle for longest is forgotten.
 */
export class CountTable {
  readonly #all = zeros(null)
  readonly #tenants = new Map<string, Counts>()
  /** The tenants without an active mission, in the order in which they became idle. */
  readonly #idle = new Set<string>()
  readonly #maxIdle: number

  constructor (maxIdle = MAX_IDLE_TENANTS) {
    this.#maxIdle = maxIdle
  }

  add (entry: MissionEntry): void {
    addTo(this.#all, entry)
    const { tenant } = entry
    if (tenant === null) return
    const counts = this.#tenants.get(tenant) ?? zeros(tenant)
    this.#tenants.set(tenant, counts)
    addTo(counts, entry)
    this.#idle.delete(tenant)
    if (counts.active === 0) this.#rest(tenant)
  }

  /** A copy of the counts: first those of all missions, then those of each tenant. */
  read (): StoredCounts[] {
    return [this.#all, ...this.#tenants.values()].map((counts) => ({ ...counts }))
  }

  #rest (tenant: string): void {
    this.#idle.add(tenant)
    if (this.#idle.size <= this.#maxIdle) return
    const [oldest] = this.#idle
    this.#idle.delete(oldest!)
    this.#tenants.delete(oldest!)
  }
}

const zeros = (tenant: string | null): Counts =>
  ({ tenant, active: 0, completed: 0, cancelled: 0, errors: 0, durationSumMs: 0 })

function addTo (counts: Counts, { status, isNew, isReplacing, durationMs }: MissionEntry): void {
  if (isReplacing) {
    counts.active--
    counts.cancelled++
  }
  if (isNew) counts.active++
  if (!isTerminal(status)) return
  counts.active--
  counts[FIELD[status]]++
  counts.durationSumMs += durationMs
}
