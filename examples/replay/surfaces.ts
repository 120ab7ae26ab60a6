import type { FastifyInstance } from 'fastify'
import type { MissionStats, MissionUpdate, ServerMessage } from 'fastify-mission-control/schemas'

const FIELDS = ['completed', 'errors', 'cancelled', 'active', 'total'] as const

/** The counts of missions as one surface shows them. */
export type Counts = Record<(typeof FIELDS)[number], number>

/** The same counts on every surface of the plugin. */
export interface Surfaces {
  /** The last `mission_stats` that the viewer got. */
  websocket: Counts
  /** What the viewer counted itself from the `mission_update` messages. */
  updates: Counts
  /** `GET /api/v1/metrics/prometheus` */
  prometheus: Counts
  /** `app.missions.stats()` */
  registry: Counts
}

/** What `readSurfaces` found. */
export interface Reading {
  surfaces: Surfaces
  /** Operations by how they ended, as Prometheus shows them. */
  operations: { success: number, error: number }
  /** Of all missions that have ended, `null` if none has. */
  meanDurationMs: number | null
}

/** Keeps what a viewer learns of the missions from the wire. */
export class Tally {
  readonly #statuses = new Map<string, MissionUpdate['status']>()
  #stats: MissionStats | undefined

  take (message: ServerMessage): void {
    if (message.type === 'mission_stats') this.#stats = message.payload
    else if (message.type === 'mission_update') this.#statuses.set(message.payload.missionId, message.payload.status)
  }

  /** @throws Error when no `mission_stats` has come */
  get stats (): Counts {
    if (this.#stats === undefined) throw new Error('no mission_stats message has come')
    return pick(this.#stats)
  }

  get updates (): Counts {
    const counts = { completed: 0, errors: 0, cancelled: 0, active: 0, total: this.#statuses.size }
    for (const status of this.#statuses.values()) {
      if (status === 'completed' || status === 'cancelled') counts[status]++
      else counts[status === 'error' ? 'errors' : 'active']++
    }
    return counts
  }
}

/** Reads every surface. The viewer must have got the `mission_stats` of this moment. */
export async function readSurfaces (app: FastifyInstance, tally: Tally, prometheusUrl: string): Promise<Reading> {
  const response = await fetch(prometheusUrl)
  if (!response.ok) throw new Error(`${prometheusUrl} answered ${response.status}`)
  const page = await response.text()
  const stats = app.missions.stats()
  return {
    surfaces: { websocket: tally.stats, updates: tally.updates, prometheus: readGauges(page), registry: pick(stats) },
    operations: { success: sumOperations(page, 'success'), error: sumOperations(page, 'error') },
    meanDurationMs: stats.avgDurationMs
  }
}

export function areAlike (surfaces: Surfaces): boolean {
  return FIELDS.every((field) => new Set(Object.values(surfaces).map((counts: Counts) => counts[field])).size === 1)
}

/** The surfaces side by side, a line for each. */
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

function pick (counts: Counts): Counts {
  const { completed, errors, cancelled, active, total } = counts
  return { completed, errors, cancelled, active, total }
}

function readGauges (page: string): Counts {
  const read = (field: string): number => {
    const value = new RegExp(`^oneagent_mission_${field} (\\S+)$`, 'm').exec(page)?.[1]
    if (value === undefined) throw new Error(`the exposition has no oneagent_mission_${field}`)
    return Number(value)
  }
  return pick(Object.fromEntries(FIELDS.map((field) => [field, read(field)])) as Counts)
}

function sumOperations (page: string, status: 'success' | 'error'): number {
  const series = page.matchAll(new RegExp(`^mission_control_operations_total\\{.*status="${status}"\\} (\\S+)$`, 'gm'))
  return [...series].reduce((sum, [, value]) => sum + Number(value), 0)
}
