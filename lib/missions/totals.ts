import { CANCEL_KINDS, type CancelKind, type MissionTotals, type TerminalStatus } from '../../schemas/mission.js'

const FIELD = { completed: 'completed', cancelled: 'cancelled', error: 'errors' } as const

const UNTRACKED_REASONS = ['full', 'closing', 'ended', 'invalid'] as const

/** Why the function of a mission ran without one. */
export type UntrackedReason = (typeof UNTRACKED_REASONS)[number]

/**
 * Counts of missions. They are changed by the transitions alone, so a read costs O(1). `total` is not stored: it is
 * always the sum of the four counts. Missions that are no longer kept stay counted. `whole` counts everything too.
 */
export class Totals {
  readonly #whole: Totals | undefined
  #active = 0
  #stalled = 0
  #lateOutcomes = 0
  #refused = 0
  readonly #untracked = zeros(UNTRACKED_REASONS)
  readonly #cancelled = zeros(CANCEL_KINDS)
  readonly #ended = { completed: 0, cancelled: 0, errors: 0 }
  #durationSumMs = 0

  constructor (whole?: Totals) {
    this.#whole = whole
  }

  get active (): number { return this.#active }

  started (): void {
    this.#active++
    this.#whole?.started()
  }

  refused (): void {
    this.#refused++
    this.#whole?.refused()
  }

  /** Counts a function that runs without a tracked mission, and returns how many there were for this reason. */
  untracked (reason: UntrackedReason): number { return ++this.#untracked[reason] }

  lateOutcome (): void {
    this.#lateOutcomes++
    this.#whole?.lateOutcome()
  }

  stalled (isStalled: boolean): void {
    this.#stalled += isStalled ? 1 : -1
    this.#whole?.stalled(isStalled)
  }

  /** `kind` is that of its cancel, if it was cancelled. */
  ended (status: TerminalStatus, durationMs: number, kind: CancelKind = 'request'): void {
    this.#whole?.ended(status, durationMs, kind)
    this.#active--
    if (status === 'cancelled') this.#cancelled[kind]++
    this.#ended[FIELD[status]]++
    this.#durationSumMs += durationMs
  }

  /** The opposite of `ended`. */
  uncount (status: TerminalStatus, durationMs: number, kind: CancelKind = 'request'): void {
    this.#whole?.uncount(status, durationMs, kind)
    this.#active++
    if (status === 'cancelled') this.#cancelled[kind]--
    this.#ended[FIELD[status]]--
    this.#durationSumMs -= durationMs
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
      refused: this.#refused,
      untracked: Object.values(this.#untracked).reduce((sum, count) => sum + count, 0)
    }
  }

  /** The durations of all ended missions together: the mean of several processes needs their sum. */
  get durationSumMs (): number {
    return this.#durationSumMs
  }

  /** The totals by reason and by kind. */
  readLabelled (): { untracked: Record<UntrackedReason, number>, cancelled: Record<CancelKind, number> } {
    return { untracked: { ...this.#untracked }, cancelled: { ...this.#cancelled } }
  }
}

// A series that is there from the start shows its first increase.
const zeros = <Key extends string>(keys: readonly Key[]): Record<Key, number> =>
  Object.fromEntries(keys.map((key) => [key, 0])) as Record<Key, number>
