import type { MissionFilter, MissionQuery, MissionView } from '../../../schemas/mission.js'
import type { Caller } from '../commands/caller.js'
import type { ListedMission } from '../payload/listed-mission.js'
import type { PageCursors } from './page-cursor.js'

/** One page of missions, newest first. `nextCursor` asks for the next page; it is `null` on the last one. */
export interface MissionList { missions: MissionView[], nextCursor: string | null }

/** Whether a mission matches every condition of a checked filter, whose `q` is in lower case. */
export function matchesFilter (mission: ListedMission, filter: MissionFilter): boolean {
  const { status, name, tag, parentId, tenant, stalled, since, until, q } = filter
  return (status === undefined || mission.status === status) &&
    (name === undefined || mission.name === name) &&
    (tag === undefined || mission.tags.includes(tag)) &&
    (parentId === undefined || mission.parentId === parentId) &&
    (tenant === undefined || mission.tenant === tenant) &&
    (stalled === undefined || mission.isStalled === stalled) &&
    (since === undefined || mission.startedAt >= since) &&
    (until === undefined || mission.startedAt < until) &&
    (q === undefined || searchTextOf(mission).includes(q))
}

/**
 * One page of the missions that match, newest first. The cursor stands for the last mission of a page, so that pages
 * neither repeat nor skip a mission, whatever starts or ends in between. Without a `caller`, it is the host that
 * asks.
 * Whether a caller may see a mission is decided last and only as often as needed.
 */
export function findPage (
  missions: Iterable<ListedMission>, { limit = 50, cursor, ...filter }: MissionQuery, cursors: PageCursors,
  caller?: Caller
): MissionList {
  const toItem = (mission: ListedMission) => viewFor(caller, mission)
  const before = cursor === undefined ? Infinity : cursors.decode(cursor)
  const oldestFirst = [...missions]
  const page: ListedMission[] = []
  for (let at = oldestFirst.length - 1; at >= 0; at--) {
    const mission = oldestFirst[at]!
    if (mission.number >= before || !matchesFilter(mission, filter) || !isVisible(mission, filter, caller)) continue
    if (page.length === limit) {
      return { missions: page.map(toItem), nextCursor: cursors.encode(page.at(-1)!.number) }
    }
    page.push(mission)
  }
  return { missions: page.map(toItem), nextCursor: null }
}

/** What a caller may see of a mission: a tenant sees neither a parent of another tenant nor the process. */
export function viewFor (caller: Caller | undefined, mission: ListedMission): MissionView {
  const view = mission.view()
  return caller?.tenant === undefined ? view : { ...view, parentId: mission.shownParentId, instance: null }
}

function isVisible (mission: ListedMission, { parentId }: MissionFilter, caller: Caller | undefined): boolean {
  if (caller === undefined) return true
  if (caller.tenant !== undefined && parentId !== undefined && parentId !== mission.shownParentId) return false
  return caller.may('see', mission.subject)
}

// A search reads thousands of missions. Most of them have not changed since the search before.
const searchTexts = new WeakMap<ListedMission, { seq: number, text: string }>()

function searchTextOf (mission: ListedMission): string {
  const { id, name, objective, tags, error, seq } = mission
  const known = searchTexts.get(mission)
  if (known?.seq === seq) return known.text
  const text = [id, name, objective, error?.code, error?.message, ...tags].join('\0').toLowerCase()
  searchTexts.set(mission, { seq, text })
  return text
}
