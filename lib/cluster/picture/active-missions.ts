import type { SharedMission } from '../../missions/index.js'

const NOBODY: ReadonlySet<SharedMission> = new Set()

/** The active missions of the service: all of them, by tenant and by owner, oldest first. */
export class ActiveMissions {
  readonly #all = new Set<SharedMission>()
  readonly #tenants = new Map<string, Set<SharedMission>>()
  readonly #owners = new Map<string, Set<SharedMission>>()

  /** Without a tenant, all of them. */
  of (tenant?: string): ReadonlySet<SharedMission> {
    return tenant === undefined ? this.#all : this.#tenants.get(tenant) ?? NOBODY
  }

  /** The processes that own active missions. */
  owners (): string[] { return [...this.#owners.keys()] }

  /** For one of `owners`. */
  ownedBy (owner: string): ReadonlySet<SharedMission> { return this.#owners.get(owner)! }

  joined (mission: SharedMission): void {
    this.#all.add(mission)
    if (mission.tenant !== null) add(this.#tenants, mission.tenant, mission)
    add(this.#owners, mission.owner, mission)
  }

  /** To be called before the owner changes. */
  left (mission: SharedMission): void {
    this.#all.delete(mission)
    if (mission.tenant !== null) remove(this.#tenants, mission.tenant, mission)
    remove(this.#owners, mission.owner, mission)
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
  const set = sets.get(key)
  set?.delete(mission)
  if (set?.size === 0) sets.delete(key)
}
