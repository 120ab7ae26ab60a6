import type { SharedMission } from '../../missions/index.js'

const NOBODY: ReadonlySet<SharedMission> = new Set()

/** The active missions of the service: all of them, and those of each tenant, oldest first. */
export class ActiveMissions {
  readonly #all = new Set<SharedMission>()
  readonly #tenants = new Map<string, Set<SharedMission>>()
  /** How many each process owns. */
  readonly #owners = new Map<string, number>()

  /** Without a tenant, all of them. */
  of (tenant?: string): ReadonlySet<SharedMission> {
    return tenant === undefined ? this.#all : this.#tenants.get(tenant) ?? NOBODY
  }

  /** The processes that own active missions. */
  owners (): string[] { return [...this.#owners.keys()] }

  /** Looks at all of them: it is rarely needed, and an index would take memory for each mission. */
  ownedBy (owner: string): SharedMission[] { return [...this.#all].filter((mission) => mission.owner === owner) }

  joined (mission: SharedMission): void {
    const { tenant, owner } = mission
    this.#all.add(mission)
    if (tenant !== null) add(this.#tenants, tenant, mission)
    this.#owners.set(owner, (this.#owners.get(owner) ?? 0) + 1)
  }

  /** To be called before the owner changes; it may have left already. */
  left (mission: SharedMission): void {
    const { tenant, owner } = mission
    if (!this.#all.delete(mission)) return
    if (tenant !== null) remove(this.#tenants, tenant, mission)
    const rest = this.#owners.get(owner)! - 1
    if (rest === 0) this.#owners.delete(owner)
    else this.#owners.set(owner, rest)
  }

  clear (): void {
    this.#all.clear()
    this.#tenants.clear()
    this.#owners.clear()
  }
}

function add (sets: Map<string, Set<SharedMission>>, key: string, mission: SharedMission): void {
  const set = sets.get(key) ?? new Set()
  sets.set(key, set.add(mission))
}

function remove (sets: Map<string, Set<SharedMission>>, key: string, mission: SharedMission): void {
  const set = sets.get(key)!
  set.delete(mission)
  if (set.size === 0) sets.delete(key)
}
