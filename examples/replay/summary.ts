import type { Trace } from '../traces/index.js'
import { renderSurfaces, type Reading } from './surfaces.js'

/** What a replay came to. */
export interface Result extends Reading, Pick<Trace, 'format' | 'mapping' | 'from' | 'to'> {
  file: string
  /** How many missions the trace has. */
  missions: number
  /** In ms of real time. */
  tookMs: number
  /** Whether all surfaces show the same counts. */
  isAlike: boolean
}

/** Says what is about to be replayed, and where to watch it. */
export function renderAnnouncement ({ format, missions, from, to }: Trace, urls: string[]): string {
  const days = (to - from) / 86_400_000
  const span = days < 1 ? `${((to - from) / 1_000).toFixed(0)} seconds` : `${days.toFixed(0)} days`
  const count = missions.length === 1 ? '1 mission' : `${missions.length.toLocaleString('en')} missions`
  return `${format}: ${count} in ${span}. Watch it at\n${urls.map((url) => `  ${url}`).join('\n')}\n`
}

/** The result for people. */
export function renderResult (result: Result): string {
  const { mapping, surfaces, endings, everStalled, stalledIds, operations, meanDurationMs, isAlike, tookMs } = result
  const mean = meanDurationMs === null ? 'none has ended' : `${(meanDurationMs / 1_000).toFixed(1)} s`
  return `What was recorded, and what its mission does:
${renderLines(Object.entries(mapping))}

${renderSurfaces(surfaces)}

How missions ended:
${renderLines(Object.entries(endings).map(([ending, count]) => [count.toLocaleString('en'), ending]))}

Stalled: ${stalledIds.length.toLocaleString('en')} listed now, ${everStalled.toLocaleString('en')} ever.
Operations: ${operations.success.toLocaleString('en')} succeeded, ${operations.error.toLocaleString('en')} failed. Mean duration of a mission: ${mean}.
The surfaces ${isAlike ? 'agree' : 'DIFFER'}. Took ${(tookMs / 1_000).toFixed(1)} s.`
}

function renderLines (rows: Array<[label: string, text: string]>): string {
  const width = rows.reduce((most, [label]) => Math.max(most, label.length), 0)
  return rows.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`).join('\n')
}
