import type { MissionFilter, MissionQuery, MissionView } from '../../../schemas/mission.js'
import type { Mission } from '../mission.js'

/** One page of missions, newest first; `nextCursor` asks for the page after it and is `null` on the last one. */
export interface MissionPage { missions: MissionView[], nextCursor: string | null }

/** Whether a mission fits every condition of a filter. */
export function matchesFilter (mission: Mission, { status, name, tag, tenant, stalled, since, until, q }: MissionFilter): boolean {
  return (status === undefined || mission.status === status) &&
    (name === undefined || mission.name === name) &&
    (tag === undefined || mission.tags.includes(tag)) &&
    (tenant === undefined || mission.tenant === tenant) &&
    (stalled === undefined || mission.isStalled === stalled) &&
    (since === undefined || mission.startedAt >= since) &&
    (until === undefined || mission.startedAt < until) &&
    (q === undefined || mentions(mission, q.toLowerCase()))
}

/**
 * Missions that fit, newest first. The cursor is the number of the last mission shown, so that pages neither repeat nor skip one,
 * whatever starts or ends in between. Looks at no more missions than the page needs; `isVisible`, which is the host's, is asked last.
 */
export function findPage (missions: Iterable<Mission>, { limit = 50, cursor, ...filter }: MissionQuery, isVisible: (mission: Mission) => boolean): MissionPage {
  const before = cursor === undefined ? Infinity : Number(cursor)
  const oldestFirst = [...missions]
  const page: Mission[] = []
  for (let at = oldestFirst.length - 1; at >= 0; at--) {
    const mission = oldestFirst[at]!
    if (mission.number >= before || !matchesFilter(mission, filter) || !isVisible(mission)) continue
    if (page.length === limit) return { missions: page.map((one) => one.view()), nextCursor: String(page.at(-1)!.number) }
    page.push(mission)
  }
  return { missions: page.map((one) => one.view()), nextCursor: null }
}

function mentions (mission: Mission, text: string): boolean {
  return [mission.id, mission.name, mission.objective ?? ''].some((field) => field.toLowerCase().includes(text))
}
