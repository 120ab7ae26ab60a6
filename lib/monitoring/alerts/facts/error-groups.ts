import type { EndedFact, ErrorGroup } from './alert-facts.js'
import { hashText } from './text-hash.js'

/** How many groups are reported; those with the most missions. */
const MAX_GROUPS = 5
const MAX_KEY = 96
const MAX_TEXT = 160

const QUOTED = /"[^"]*"|'[^']*'|`[^`]*`/g
const NUMBERS = /0x[0-9a-f]+|\b[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b|\d+(?:[.:,-]\d+)*/gi
const SPACES = /\s+/g

/**
 * An error text without the parts that differ each time: quoted texts, numbers, ids and times. Only the beginning of a
 * text is read, so that a long one costs no more.
 */
export function normalizeError (code: string, message: string): string {
  const text = message.slice(0, 2 * MAX_KEY).replace(QUOTED, '…').replace(NUMBERS, '#').replace(SPACES, ' ').trim()
  return `${code}: ${text}`.slice(0, MAX_KEY)
}

/** Groups the failed missions by their error, the largest group first. */
export function groupErrors (ended: readonly EndedFact[]): ErrorGroup[] {
  const groups = new Map<string, ErrorGroup & { missions: EndedFact[] }>()
  for (const mission of ended) {
    if (mission.error === null || mission.status !== 'error') continue
    const { code, message } = mission.error
    const normal = normalizeError(code, message)
    const group = groups.get(normal) ??
      { key: `${code}#${hashText(normal)}`, code, message: message.slice(0, MAX_TEXT), missions: [] }
    group.missions.push(mission)
    groups.set(normal, group)
  }
  return [...groups.values()].sort((a, b) => b.missions.length - a.missions.length).slice(0, MAX_GROUPS)
}
