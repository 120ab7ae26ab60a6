import type { MissionTotals } from '../../../schemas/mission.js'
import type { Totals } from '../totals.js'

/** The counts of the missions of one tenant, or under `OTHER_TENANTS` of all missions without a named tenant. */
export type TenantCounts = Pick<MissionTotals, 'active' | 'completed' | 'cancelled' | 'errors'>

export interface TenantLabelsOptions {
  /** How many tenants get a name. */
  max: number
  /** The only tenants that get a name. */
  allow?: readonly string[] | undefined
}

export const OTHER_TENANTS = '_other'

/** The tenants that are named in metrics: those of a list, or the first ones. A named tenant stays named. */
export class TenantLabels {
  readonly #max: number
  readonly #allowed: ReadonlySet<string> | undefined
  readonly #named = new Set<string>()

  constructor ({ max, allow }: TenantLabelsOptions) {
    this.#max = allow?.length ?? max
    this.#allowed = allow && new Set(allow)
  }

  /** Whether a tenant is named. The first call for a tenant names it, if there is room. */
  names (tenant: string): boolean {
    if (this.#named.has(tenant)) return true
    if (tenant === OTHER_TENANTS || this.#named.size >= this.#max || this.#allowed?.has(tenant) === false) return false
    this.#named.add(tenant)
    return true
  }

  /** The counts of each named tenant, and of all other missions. `totalsOf()` returns the counts of all missions. */
  read (totalsOf: (tenant?: string) => Totals): Array<[tenant: string, counts: TenantCounts]> {
    const named = [...this.#named].map((tenant): [string, TenantCounts] => [tenant, totalsOf(tenant).read()])
    const all = totalsOf().read()
    const rest = (key: keyof TenantCounts) => named.reduce((left, [, counts]) => left - counts[key], all[key])
    const others = {
      active: rest('active'), completed: rest('completed'), cancelled: rest('cancelled'), errors: rest('errors')
    }
    return [...named, [OTHER_TENANTS, others]]
  }
}
