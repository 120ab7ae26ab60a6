import type { MissionStats, MissionUpdate, ServerMessage } from 'fastify-mission-control/schemas'
import type { Counts } from './surfaces.js'

/** Collects the state of all missions from the messages of the service. */
export class Tally {
  readonly #missions = new Map<string, MissionUpdate>()
  readonly #everStalled = new Set<string>()
  #stats: MissionStats | undefined

  take (message: ServerMessage): void {
    if (message.type === 'mission_stats') this.#stats = message.payload
    else if (message.type === 'mission_update') this.#note(message.payload)
  }

  /** @throws Error before the first `mission_stats` message */
  get stats (): MissionStats {
    if (this.#stats === undefined) throw new Error('no mission_stats message was received')
    return this.#stats
  }

  /** The counts by the last update of each mission. */
  get counts (): Counts {
    const counts = { completed: 0, errors: 0, cancelled: 0, active: 0, stalled: 0, total: this.#missions.size }
    for (const { status, stalled } of this.#missions.values()) {
      if (status === 'completed' || status === 'cancelled') counts[status]++
      else counts[status === 'error' ? 'errors' : 'active']++
      if (stalled === true) counts.stalled++
    }
    return counts
  }

  /** Number of missions by kind of end, the most frequent first. */
  get endings (): Record<string, number> {
    const endings = new Map<string, number>()
    for (const update of this.#missions.values()) {
      if (update.durationMs === undefined) continue
      const ending = describeEnding(update)
      endings.set(ending, (endings.get(ending) ?? 0) + 1)
    }
    return Object.fromEntries([...endings].sort(([, a], [, b]) => b - a))
  }

  get everStalled (): number { return this.#everStalled.size }

  #note (update: MissionUpdate): void {
    this.#missions.set(update.missionId, update)
    if (update.stalled === true) this.#everStalled.add(update.missionId)
  }
}

function describeEnding ({ status, errorCode, cancel }: MissionUpdate): string {
  if (status === 'error') return `error: ${errorCode}`
  if (cancel == null) return status
  return `${status}: ${cancel.reason}${cancel.forced === true ? ' (forced)' : ''}`
}
