import type { FastifyInstance } from 'fastify'
import type { Tally } from './tally.js'

const FIELDS = ['completed', 'errors', 'cancelled', 'active', 'stalled', 'total'] as const

/** The counts of missions on one interface. Stalled missions are also active. */
export type Counts = Record<(typeof FIELDS)[number], number>

/** The counts on each interface of the plugin. */
export interface Surfaces {
  /** The last `mission_stats` message. */
  websocket: Counts
  /** The counts of the client, from `mission_update` messages. */
  updates: Counts
  /** `GET /api/v1/metrics/prometheus` */
  prometheus: Counts
  /** `app.missions.stats()` */
  registry: Counts
}

/** The result of `readSurfaces`. */
export interface Reading {
  surfaces: Surfaces
  /** Operations by status, from Prometheus. */
  operations: { success: number, error: number }
  /** Mean duration of all ended missions, or `null` without any. */
  meanDurationMs: number | null
  /** Number of ended missions by `completed`, `error: <code>` and `cancelled: <reason>`, from `mission_update`. */
  endings: Record<string, number>
  /** Number of missions that were stalled at any time. */
  everStalled: number
  /** The ids of the missions in `missions.list({ stalled: true })`. */
  stalledIds: string[]
}

/** Reads every interface. The client must have received the latest `mission_stats`. */
export async function readSurfaces (app: FastifyInstance, tally: Tally, prometheusUrl: string): Promise<Reading> {
  const response = await fetch(prometheusUrl)
  if (!response.ok) throw new Error(`${prometheusUrl} responded with ${response.status}`)
  const page = await response.text()
  const stats = app.missions.stats()
  return {
    surfaces: {
      websocket: pick(tally.stats),
      updates: tally.counts,
      prometheus: readGauges(page),
      registry: pick(stats)
    },
    operations: { success: sumOperations(page, 'success'), error: sumOperations(page, 'error') },
    meanDurationMs: stats.avgDurationMs,
    endings: tally.endings,
    everStalled: tally.everStalled,
    stalledIds: listStalled(app)
  }
}

export function areAlike (surfaces: Surfaces): boolean {
  return FIELDS.every((field) => new Set(Object.values(surfaces).map((counts: Counts) => counts[field])).size === 1)
}

/** A table with one line per interface. */
export function renderSurfaces ({ websocket, updates, prometheus, registry }: Surfaces): string {
  const rows: Array<[string, Counts]> = [
    ['mission_stats (WebSocket)', websocket],
    ['mission_update (counted)', updates],
    ['Prometheus (HTTP)', prometheus],
    ['missions.stats()', registry]
  ]
  const line = (label: string, cells: string[]) => label.padEnd(28) + cells.map((cell) => cell.padStart(11)).join('')
  return [
    line('', [...FIELDS]),
    ...rows.map(([label, counts]) => line(label, FIELDS.map((field) => counts[field].toLocaleString('en'))))
  ].join('\n')
}

function listStalled (app: FastifyInstance): string[] {
  const ids: string[] = []
  let cursor: string | null | undefined
  while (cursor !== null) {
    const page = app.missions.list({ stalled: true, limit: 200, ...(cursor !== undefined && { cursor }) })
    ids.push(...page.missions.map(({ id }) => id))
    cursor = page.nextCursor
  }
  return ids
}

function pick (counts: Counts): Counts {
  const { completed, errors, cancelled, active, stalled, total } = counts
  return { completed, errors, cancelled, active, stalled, total }
}

function readGauges (page: string): Counts {
  const read = (field: string): number => {
    const name = field === 'stalled' ? 'mission_control_missions_stalled' : `oneagent_mission_${field}`
    const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(page)?.[1]
    if (value === undefined) throw new Error(`the exposition has no ${name}`)
    return Number(value)
  }
  return pick(Object.fromEntries(FIELDS.map((field) => [field, read(field)])) as Counts)
}

function sumOperations (page: string, status: 'success' | 'error'): number {
  const series = page.matchAll(new RegExp(`^mission_control_operations_total\\{.*status="${status}"\\} (\\S+)$`, 'gm'))
  return [...series].reduce((sum, [, value]) => sum + Number(value), 0)
}
