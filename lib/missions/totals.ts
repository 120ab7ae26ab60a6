import type { MissionTotals, TerminalStatus } from '../../schemas/mission.js'

const FIELD = { completed: 'completed', cancelled: 'cancelled', error: 'errors' } as const

/**
 * The counts of the registry. They are changed by the transitions alone, so a read costs O(1). `total` is not stored:
 * it is always the sum of the four counts. Missions that are no longer kept stay counted.
 */
export class Totals {
  #active = 0
  #stalled = 0
  #lateOutcomes = 0
  #refused = 0
  readonly #ended = { completed: 0, cancelled: 0, errors: 0 }
  #durationSumMs = 0

  get active (): number { return this.#active }

  started (): void { this.#active++ }

  refused (): void { this.#refused++ }

  lateOutcome (): void { this.#lateOutcomes++ }

  stalled (isStalled: boolean): void { this.#stalled += isStalled ? 1 : -1 }

  ended (status: TerminalStatus, durationMs: number): void {
    this.#active--
    this.#ended[FIELD[status]]++
    this.#durationSumMs += durationMs
  }

  read (): MissionTotals {
    const { completed, cancelled, errors } = this.#ended
    const terminal = completed + cancelled + errors
    return {
      active: this.#active,
      completed,
      cancelled,
      errors,
      total: this.#active + terminal,
      avgDurationMs: terminal === 0 ? null : this.#durationSumMs / terminal,
      stalled: this.#stalled,
      lateOutcomes: this.#lateOutcomes,
      refused: this.#refused
    }
  }
}
