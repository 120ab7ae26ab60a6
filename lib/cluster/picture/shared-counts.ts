import type { TerminalStatus } from '../../../schemas/mission.js'
import type { StoredCounts } from '../../backplane/contract.js'

/** How many missions there are; the fields are those of `StoredCounts`. */
export type Counts = Omit<StoredCounts, 'tenant'> & { readonly stalled: number }

type MutableCounts = { -readonly [Name in keyof Counts]: Counts[Name] }

const FIELD = { completed: 'completed', cancelled: 'cancelled', error: 'errors' } as const

/** Tenants whose counts are kept although they have no active mission. */
const MAX_IDLE_TENANTS = 10_000

/** The counts of all missions of the service and those of each tenant, as the entries of the log change them. */
export class SharedCounts {
  #all = createCounts()
  readonly #tenants = new Map<string, MutableCounts>()

  /** Begins with the counts that the log has stored. */
  load (stored: readonly StoredCounts[]): void {
    this.#all = createCounts()
    this.#tenants.clear()
    for (const { tenant, ...counts } of stored) Object.assign(this.#of(tenant), counts)
  }

  started (tenant: string | null): void {
    this.#change(tenant, (counts) => { counts.active++ })
  }

  /** An active attempt has made way for a newer one. */
  replaced (tenant: string | null): void {
    this.#change(tenant, (counts) => {
      counts.active--
      counts.cancelled++
    })
  }

  ended (tenant: string | null, status: TerminalStatus, durationMs: number): void {
    this.#change(tenant, (counts) => {
      counts.active--
      counts[FIELD[status]]++
      counts.durationSumMs += durationMs
    })
  }

  stalled (tenant: string | null, change: 1 | -1): void {
    this.#change(tenant, (counts) => { counts.stalled += change })
  }

  /** Without a tenant, the counts of all missions. */
  read (tenant?: string): Counts {
    return (tenant === undefined ? this.#all : this.#tenants.get(tenant)) ?? createCounts()
  }

  #change (tenant: string | null, change: (counts: MutableCounts) => void): void {
    change(this.#all)
    if (tenant === null) return
    change(this.#of(tenant))
    this.#dropIdle()
  }

  #of (tenant: string | null): MutableCounts {
    if (tenant === null) return this.#all
    const counts = this.#tenants.get(tenant) ?? createCounts()
    // Inserted again, so that the map is in the order of the last change.
    this.#tenants.delete(tenant)
    this.#tenants.set(tenant, counts)
    return counts
  }

  #dropIdle (): void {
    if (this.#tenants.size <= MAX_IDLE_TENANTS) return
    for (const [tenant, { active }] of this.#tenants) {
      if (active > 0) continue
      this.#tenants.delete(tenant)
      return
    }
  }
}

const createCounts = (): MutableCounts =>
  ({ active: 0, completed: 0, cancelled: 0, errors: 0, durationSumMs: 0, stalled: 0 })
