import type { Trace } from '../traces/index.js'
import { renderSurfaces, type Reading } from './surfaces.js'

/** The result of a replay. */
export interface Result extends Reading, Pick<Trace, 'format' | 'mapping' | 'from' | 'to'> {
  file: string
  /** Number of missions in the trace. */
  missions: number
  /** Duration of the replay in ms of real time. */
  tookMs: number
  /** Whether all interfaces have equal counts. */
  isAlike: boolean
}

/** The trace to be replayed, and the URLs to follow it. */
export function renderAnnouncement ({ format, missions, from, to }: Trace, urls: string[]): string {
  const days = (to - from) / 86_400_000
  const span = days < 1 ? `${((to - from) / 1_000).toFixed(0)} seconds` : `${days.toFixed(0)} days`
  const count = missions.length === 1 ? '1 mission' : `${missions.length.toLocaleString('en')} missions`
  return `${format}: ${count} in ${span}. Follow it at\n${urls.map((url) => `  ${url}`).join('\n')}\n`
}

/** The result as text. */
export function renderResult (result: Result): string {
  const { mapping, surfaces, endings, everStalled, stalledIds, operations, meanDurationMs, isAlike, tookMs } = result
  const mean = meanDurationMs === null ? 'none' : `${(meanDurationMs / 1_000).toFixed(1)} s`
  return `Recorded outcomes, and the behaviour of their missions:
${renderLines(Object.entries(mapping))}

${renderSurfaces(surfaces)}

Ends of missions:
${renderLines(Object.entries(endings).map(([ending, count]) => [count.toLocaleString('en'), ending]))}

Stalled: ${stalledIds.length.toLocaleString('en')} now, ${everStalled.toLocaleString('en')} at any time.
Operations: ${operations.success.toLocaleString('en')} succeeded, ${operations.error.toLocaleString('en')} failed.
Mean duration of missions: ${mean}.
The counts ${isAlike ? 'are equal' : 'DIFFER'}. The replay took ${(tookMs / 1_000).toFixed(1)} s.`
}

function renderLines (rows: Array<[label: string, text: string]>): string {
  const width = rows.reduce((most, [label]) => Math.max(most, label.length), 0)
  return rows.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`).join('\n')
}
