import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { Clock } from '../../base/clock.js'
import { shrinkFairly } from '../../base/limits/fair-share.js'
import { EndedMissions } from '../lifetime/ended-missions.js'
import type { UpdatePlace } from '../feed.js'
import type { EndedMission } from '../payload/ended-mission.js'
import type { ListedMission } from '../payload/listed-mission.js'

export interface EndingsDeps {
  clock: Clock
  /** How many endings are kept for operators, and how many for all tenants together. */
  max: number
  /** For how long, in ms. */
  maxAgeMs: number
  /** Whether the host decides who may see a mission, and therefore its ending too. */
  keepsSubjects: boolean
}

export interface EndingPlaces { operators: UpdatePlace, tenant: UpdatePlace }

/** When the tenants hold too many endings, a few more are dropped, so that this is not needed at each ending. */
const KEPT_SHARE = 0.95

/**
 * The endings of missions: all of them for operators, and those of each tenant with offsets of its own. A tenant with
 * many endings takes no room from one with few.
 */
export class Endings {
  readonly #deps: EndingsDeps
  readonly #all: EndedMissions
  readonly #tenants = new Map<string, EndedMissions>()
  #tenantCount = 0

  constructor (deps: EndingsDeps) {
    this.#deps = deps
    this.#all = new EndedMissions(deps)
  }

  /** The number of tenants for which endings are kept. */
  get tenantCount (): number { return this.#tenants.size }

  /**
   * The endings of a tenant, or without a tenant all endings. Do not keep the result, because the endings of an idle
   * tenant are dropped.
   */
  of (tenant?: string): EndedMissions {
    if (tenant === undefined) return this.#all
    const known = this.#tenants.get(tenant)
    if (known !== undefined) return known
    const endings = new EndedMissions(this.#deps, (change) => {
      this.#tenantCount += change
      if (endings.isUnused) this.#tenants.delete(tenant)
    })
    this.#tenants.set(tenant, endings)
    return endings
  }

  /** Call when the log of a tenant begins again, and with it the offsets. */
  restart (tenant: string | undefined): void {
    if (tenant !== undefined) this.#tenants.get(tenant)?.restart()
  }

  /** Drops all endings, because the log begins again. */
  clear (): void {
    this.#all.shrinkTo(0)
    for (const endings of [...this.#tenants.values()]) endings.shrinkTo(0)
  }

  /** @see EndedMissions.after */
  after (tenant: string | undefined, last: object | undefined): EndedMission[] {
    return (tenant === undefined ? this.#all : this.#tenants.get(tenant))?.after(last) ?? []
  }

  /** The ending of a mission; with a tenant, only if the mission belongs to it. */
  find (tenant: string | undefined, id: string): EndedMission | undefined {
    return (tenant === undefined ? this.#all : this.#tenants.get(tenant))?.find(id)
  }

  /**
   * Publishes the last update of a mission to its subscribers, and keeps the ending. With several processes, `places`
   * are those in the log: for operators, and for the tenant.
   */
  put (mission: ListedMission, update: MissionUpdate | undefined, places?: EndingPlaces): void {
    const { clock, keepsSubjects } = this.#deps
    // Whole numbers take no memory of their own.
    const ended = mission.toEnded(Math.ceil(clock.monotonic()), keepsSubjects ? mission.subject : undefined)
    this.#all.put(ended, update, places?.operators)
    if (mission.tenant === null) return
    this.of(mission.tenant).put(ended, update, places?.tenant)
    if (this.#tenantCount > this.#deps.max) this.#makeRoom()
  }

  #makeRoom (): void {
    shrinkFairly(this.#tenants.values(), Math.floor(this.#deps.max * KEPT_SHARE))
  }
}
