import type { MissionState } from '../state/mission-state.js'
import { MissionMeasures } from '../measures/measures.js'
import { Totals } from '../totals.js'
import type { TenantCounts, TenantLabels } from './labels.js'
import type { MissionOutcome } from '../types.js'

/** The active missions, oldest first, and the counts of all missions ever tracked: of one tenant, or of all tenants. */
export interface MissionGroup {
  readonly active: Set<MissionState>
  readonly totals: Totals
}

/** The number of tenants without an active mission whose counts are kept. */
const MAX_IDLE_TENANTS = 10_000

const NOBODY: ReadonlySet<MissionState> = new Set()

/**
 * All missions, and those of each tenant. A tenant is known from its first mission on. The number of tenants without an
 * active mission is limited: the tenant that has been idle for longest is forgotten first, and its counts start at 0
 * again.
 */
export class MissionGroups {
  readonly all: MissionGroup = { active: new Set(), totals: new Totals() }
  readonly measures: MissionMeasures
  readonly #maxIdle: number
  readonly #labels: TenantLabels | undefined
  readonly #tenants = new Map<string, MissionGroup>()
  /** The tenants without an active mission, in the order in which they became idle. */
  readonly #idle = new Set<string>()

  /** Tenants with a name in `labels` are not forgotten. */
  constructor (labels?: TenantLabels, maxIdle = MAX_IDLE_TENANTS, measures = new MissionMeasures()) {
    this.measures = measures
    this.#labels = labels
    this.#maxIdle = maxIdle
  }

  /** The number of known tenants. */
  get size (): number { return this.#tenants.size }

  /** The known tenants, in the order of their first mission. */
  tenants (): IterableIterator<[tenant: string, group: MissionGroup]> {
    return this.#tenants.entries()
  }

  /** The counts to which a change of a mission is added; the counts of all missions include it too. */
  totals (tenant: string | null): Totals {
    return tenant === null ? this.all.totals : this.#group(tenant).totals
  }

  /** The counts to read; without a tenant, those of all missions. */
  read (tenant?: string): Totals {
    if (tenant === undefined) return this.all.totals
    return this.#tenants.get(tenant)?.totals ?? new Totals()
  }

  /** The counts of the tenants that are named in metrics; only with `labels`. */
  readLabelled (): Array<[tenant: string, counts: TenantCounts]> {
    return this.#labels!.read((tenant) => this.read(tenant))
  }

  /** The active missions, oldest first; without a tenant, all of them. */
  active (tenant?: string): ReadonlySet<MissionState> {
    return tenant === undefined ? this.all.active : this.#tenants.get(tenant)?.active ?? NOBODY
  }

  /** How long ago the active mission that was registered first has started, in ms; 0 if none is active. */
  oldestActiveMs (now: number): number {
    const [oldest] = this.all.active
    return oldest === undefined ? 0 : Math.max(0, now - oldest.startedAt)
  }

  started (mission: MissionState): void {
    const { tenant } = mission
    this.all.active.add(mission)
    this.measures.started(mission)
    this.totals(tenant).started()
    if (tenant === null) return
    this.#group(tenant).active.add(mission)
    this.#idle.delete(tenant)
  }

  ended (mission: MissionState, outcome: MissionOutcome): void {
    const { tenant } = mission
    const { status, durationMs, cancel } = outcome
    this.all.active.delete(mission)
    this.measures.ended(mission, outcome)
    this.totals(tenant).ended(status, durationMs, cancel?.kind)
    if (tenant === null) return
    const { active } = this.#group(tenant)
    active.delete(mission)
    if (active.size === 0) this.#rest(tenant)
  }

  /** A mission has ended in another way than it was counted. */
  corrected ({ tenant }: MissionState, before: MissionOutcome, after: MissionOutcome): void {
    const totals = this.totals(tenant)
    totals.uncount(before.status, before.durationMs, before.cancel?.kind)
    totals.ended(after.status, after.durationMs, after.cancel?.kind)
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
    if (this.#idle.size <= this.#maxIdle) return
    const [oldest] = this.#idle
    this.#idle.delete(oldest!)
    this.#tenants.delete(oldest!)
  }
}
