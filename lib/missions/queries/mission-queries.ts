import type { MissionQuery, MissionTotals, MissionView } from '../../../schemas/mission.js'
import type { Unsubscribe } from '../../base/events.js'
import type { AckGate } from '../commands/ack-gate.js'
import type { Caller } from '../commands/caller.js'
import type { MissionFeed } from '../feed.js'
import { checkQuery } from '../input/queries.js'
import type { MissionIndex } from '../shared/mission-index.js'
import type { MissionGroups } from '../tenants/groups.js'
import type { UpdateStream } from '../updates/update-stream.js'
import type { ListedMission } from '../payload/listed-mission.js'
import { PageCursors } from './page-cursor.js'
import { findPage, viewFor, type MissionList } from './query.js'

export interface MissionQueriesDeps {
  index: MissionIndex
  groups: MissionGroups
  ackGate: AckGate
  updates: UpdateStream
}

/** Reads missions, of all processes if there are several. Nothing that it returns can change a mission. */
export class MissionQueries {
  readonly cursors = new PageCursors()
  readonly #deps: MissionQueriesDeps

  constructor (deps: MissionQueriesDeps) {
    this.#deps = deps
  }

  /** What the subscribers of updates receive if this is the only process. */
  get feed (): MissionFeed {
    return {
      onUpdate: (listener, tenant) => this.#deps.updates.onUpdate(listener, tenant),
      visible: (tenant, ids) => this.visible(tenant, ids),
      find: (tenant, id) => this.find(tenant, id)
    }
  }

  /** @see Missions.list; for a caller, what they may see. */
  list (query: MissionQuery, caller?: Caller): MissionList {
    return findPage(this.#deps.index.readAll(), checkQuery(query), this.cursors, caller)
  }

  /** What a caller may see of one mission. */
  viewFor (caller: Caller, id: string): MissionView | undefined {
    const mission = this.#deps.index.read(id)
    return mission === undefined || !caller.may('see', mission.subject) ? undefined : viewFor(caller, mission)
  }

  /** The mission with this id, if it is of this tenant; without a tenant, any mission with this id. */
  find (tenant: string | undefined, id: string): ListedMission | undefined {
    const mission = this.#deps.index.read(id)
    return tenant === undefined || mission?.tenant === tenant ? mission : undefined
  }

  totals (tenant?: string): MissionTotals {
    const { index, groups } = this.#deps
    return index.shared?.totals(tenant) ?? groups.read(tenant).read()
  }

  /**
   * The active missions of this process that are of a tenant, or of everybody, and whose updates are not held back,
   * oldest first; with `ids` only these, in this order.
   */
  visible (tenant?: string, ids?: readonly string[]): ListedMission[] {
    const { index, groups } = this.#deps
    const missions = ids === undefined
      ? groups.active(tenant)
      : [...new Set(ids)].flatMap((id) => index.localIn(id, tenant) ?? [])
    const visible: ListedMission[] = []
    for (const mission of missions) if (!mission.isTerminal && !this.isHeld(mission)) visible.push(mission)
    return visible
  }

  /** Whether a mission must stay invisible, because its start command is not acknowledged yet. */
  isHeld ({ id }: ListedMission): boolean {
    const { index, ackGate } = this.#deps
    if (ackGate.heldCount === 0) return false
    const local = index.local.get(id)
    return local !== undefined && ackGate.isHolding(local)
  }

  /** Calls `listener` at every change of a mission. */
  onChanged (listener: (mission: ListedMission) => void): Unsubscribe {
    const { index, updates } = this.#deps
    const isElsewhere = ({ id, attempt }: ListedMission) => index.local.get(id)?.attempt !== attempt
    const unsubscribers = [
      updates.onChanged(listener),
      index.shared?.onChanged((mission) => { if (isElsewhere(mission)) listener(mission) })
    ]
    return () => { for (const unsubscribe of unsubscribers) unsubscribe?.() }
  }
}
