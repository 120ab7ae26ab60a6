import type { TerminalStatus } from '../../../schemas/mission.js'
import { Histogram, type HistogramCounts } from '../../base/histogram.js'

/** The name under which all missions with other names are counted. */
export const OTHER_NAMES = '_other'

/** The measures of the missions with one name. */
export interface NamedCounts {
  name: string
  started: number
  finished: Readonly<Record<TerminalStatus, number>>
  durations: HistogramCounts
}

interface Named { started: number, finished: Record<TerminalStatus, number>, durations: Histogram }

/** Measures missions by name, for a list of names. All names are there from the start. */
export class NamedMeasures {
  readonly #names = new Map<string, Named>()
  readonly #others: Named

  constructor (names: readonly string[], bucketsMs: readonly number[]) {
    const create = (): Named =>
      ({ started: 0, finished: { completed: 0, cancelled: 0, error: 0 }, durations: new Histogram(bucketsMs) })
    for (const name of names) this.#names.set(name, create())
    this.#others = this.#names.get(OTHER_NAMES) ?? create()
    this.#names.set(OTHER_NAMES, this.#others)
  }

  started (name: string): void {
    this.#find(name).started++
  }

  ended (name: string, status: TerminalStatus, durationMs: number): void {
    const { finished, durations } = this.#find(name)
    finished[status]++
    durations.record(durationMs)
  }

  read (): NamedCounts[] {
    return [...this.#names].map(([name, { started, finished, durations }]) =>
      ({ name, started, finished: { ...finished }, durations: durations.read() }))
  }

  #find (name: string): Named { return this.#names.get(name) ?? this.#others }
}
