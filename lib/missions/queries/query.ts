import type { MissionFilter, MissionQuery, MissionView } from '../../../schemas/mission.js'
import type { MissionRecord } from '../state/mission-record.js'
import type { Caller } from '../commands/caller.js'
import { toView } from '../state/view.js'
import { fromPageCursor, toPageCursor } from './page-cursor.js'

/** One page of missions, newest first. `nextCursor` asks for the next page; it is `null` on the last one. */
export interface MissionList { missions: MissionView[], nextCursor: string | null }

/** Whether a mission matches every condition of a filter. */
export function matchesFilter (mission: MissionRecord, filter: MissionFilter): boolean {
  const { status, name, tag, parentId, tenant, stalled, since, until, q } = filter
  return (status === undefined || mission.status === status) &&
    (name === undefined || mission.name === name) &&
    (tag === undefined || mission.tags.includes(tag)) &&
    (parentId === undefined || mission.parentId === parentId) &&
    (tenant === undefined || mission.tenant === tenant) &&
    (stalled === undefined || mission.isStalled === stalled) &&
    (since === undefined || mission.startedAt >= since) &&
    (until === undefined || mission.startedAt < until) &&
    (q === undefined || mentions(mission, q.toLowerCase()))
}

/**
 * One page of the missions that match, newest first. The cursor stands for the last mission of a page, so that pages
 * neither repeat nor skip a mission, whatever starts or ends in between. Without a `caller`, it is the host that
 * asks.
 * Whether a caller may see a mission is decided last and only as often as needed.
 */
export function findPage (
  missions: Iterable<MissionRecord>, { limit = 50, cursor, ...filter }: MissionQuery, caller?: Caller
): MissionList {
  const toItem = (mission: MissionRecord) => viewFor(caller, mission)
  const before = cursor === undefined ? Infinity : fromPageCursor(cursor)
  const oldestFirst = [...missions]
  const page: MissionRecord[] = []
  for (let at = oldestFirst.length - 1; at >= 0; at--) {
    const mission = oldestFirst[at]!
    if (mission.number >= before || !matchesFilter(mission, filter) || !isVisible(mission, filter, caller)) continue
    if (page.length === limit) return { missions: page.map(toItem), nextCursor: toPageCursor(page.at(-1)!.number) }
    page.push(mission)
  }
  return { missions: page.map(toItem), nextCursor: null }
}

/** What a caller may see of a mission: the id of a parent of another tenant is not shown to a tenant. */
export function viewFor (caller: Caller | undefined, mission: MissionRecord): MissionView {
  const view = toView(mission)
  return caller?.tenant === undefined ? view : { ...view, parentId: mission.shownParentId }
}

function isVisible (mission: MissionRecord, { parentId }: MissionFilter, caller: Caller | undefined): boolean {
  if (caller === undefined) return true
  if (caller.tenant !== undefined && parentId !== undefined && parentId !== mission.shownParentId) return false
  return caller.may('see', mission.subject)
}

function mentions (mission: MissionRecord, text: string): boolean {
  return [mission.id, mission.name, mission.objective ?? ''].some((field) => field.toLowerCase().includes(text))
}
