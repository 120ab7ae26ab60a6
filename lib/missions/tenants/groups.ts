import type { MissionState } from '../state/mission-state.js'
import { Totals } from '../totals.js'
import type { TenantCounts, TenantLabels } from './labels.js'
import type { MissionOutcome } from '../types.js'

/** The active missions, oldest first, and the counts of all missions ever tracked: of one tenant, or of everybody. */
export interface MissionGroup {
  readonly active: Set<MissionState>
  readonly totals: Totals
}

/** The counts of so many tenants are kept after their last mission has ended. */
const MAX_IDLE_TENANTS = 10_000

const NOBODY: ReadonlySet<MissionState> = new Set()

/**
 * The missions of everybody and, beside them, those of each tenant. A tenant is known from its first mission on. Those
 * without an active mission are bounded; the one that is idle for the longest time is forgotten first, and its counts
 * begin at zero again.
 */
export class MissionGroups {
  readonly all: MissionGroup = { active: new Set(), totals: new Totals() }
  readonly #maxIdle: number
  readonly #labels: TenantLabels | undefined
  readonly #tenants = new Map<string, MissionGroup>()
  /** Those without an active mission, in the order in which they became idle. */
  readonly #idle = new Set<string>()

  /** Tenants that `labels` names are not forgotten. */
  constructor (labels?: TenantLabels, maxIdle = MAX_IDLE_TENANTS) {
    this.#labels = labels
    this.#maxIdle = maxIdle
  }

  /** How many tenants are known. */
  get size (): number { return this.#tenants.size }

  /** The tenants that are known, in the order of their first mission. */
  tenants (): IterableIterator<[tenant: string, group: MissionGroup]> {
    return this.#tenants.entries()
  }

  /** The counts that a change of a mission is added to; those of everybody count it too. */
  totals (tenant: string | null): Totals {
    return tenant === null ? this.all.totals : this.#group(tenant).totals
  }

  /** The counts to read; without a tenant, those of everybody. */
  read (tenant?: string): Totals {
    if (tenant === undefined) return this.all.totals
    return this.#tenants.get(tenant)?.totals ?? new Totals()
  }

  /** The counts of the tenants that are named in metrics, if any are to be. */
  readLabelled (): Array<[tenant: string, counts: TenantCounts]> | undefined {
    return this.#labels?.read((tenant) => this.read(tenant))
  }

  /** The active missions, oldest first; without a tenant, those of everybody. */
  active (tenant?: string): ReadonlySet<MissionState> {
    return tenant === undefined ? this.all.active : this.#tenants.get(tenant)?.active ?? NOBODY
  }

  started (mission: MissionState): void {
    const { tenant } = mission
    this.all.active.add(mission)
    this.totals(tenant).started()
    if (tenant === null) return
    this.#group(tenant).active.add(mission)
    this.#idle.delete(tenant)
  }

  ended (mission: MissionState, { status, durationMs, cancel }: MissionOutcome): void {
    const { tenant } = mission
    this.all.active.delete(mission)
    this.totals(tenant).ended(status, durationMs, cancel?.kind)
    if (tenant === null) return
    const { active } = this.#group(tenant)
    active.delete(mission)
    if (active.size === 0) this.#rest(tenant)
  }

  #group (tenant: string): MissionGroup {
    const known = this.#tenants.get(tenant)
    if (known !== undefined) return known
    const group = { active: new Set<MissionState>(), totals: new Totals(this.all.totals) }
    this.#tenants.set(tenant, group)
    this.#rest(tenant)
    return group
  }

  #rest (tenant: string): void {
    if (this.#labels?.names(tenant) === true) return
    this.#idle.add(tenant)
    for (const oldest of this.#idle) {
      if (this.#idle.size <= this.#maxIdle) return
      this.#idle.delete(oldest)
      this.#tenants.delete(oldest)
    }
  }
}
