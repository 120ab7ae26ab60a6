import type { DurationFact, EndedFact, NameFacts } from './alert-facts.js'

/** How many names have durations; those whose missions have not ended for the longest time are dropped. */
const MAX_NAMES = 200
/** How many of the newest durations of a name count. */
const MAX_SAMPLES = 200
/** The usual duration of a name is recomputed after this number of new durations. */
const REFRESH_EVERY = 10

/** Makes the median absolute deviation comparable with a standard deviation: the 75 % quantile of a normal one. */
const MAD_SCALE = 0.6745
/** Durations of less than this spread of their logarithms are not told apart: 5 %. */
const LEAST_SPREAD = 0.05

/** The durations of missions by name: the usual ones, and the outliers. Bounded. */
export class NameDurations {
  /** In the order of their last ending. */
  readonly #names = new Map<string, Samples>()

  /** Adds an ended mission. Returns it if it took longer than all usual ones of its name. */
  add ({ id, name, durationMs, status }: EndedFact): DurationFact | undefined {
    if (status !== 'completed') return undefined
    const samples = this.#names.get(name) ?? new Samples()
    this.#moveToEnd(name, samples, false)
    this.#makeRoom()
    const { count, p95Ms } = samples
    const score = durationMs > p95Ms ? samples.score(durationMs) : 0
    samples.add(durationMs)
    return score > 0 ? { id, name, durationMs, p95Ms, score, samples: count } : undefined
  }

  read (): ReadonlyMap<string, NameFacts> { return this.#names }

  #moveToEnd (name: string, samples: Samples, isSpared: boolean): void {
    samples.isSpared = isSpared
    this.#names.delete(name)
    this.#names.set(name, samples)
  }

  // Every mission may have its own name, so a name with many durations survives one round.
  #makeRoom (): void {
    while (this.#names.size > MAX_NAMES) {
      const [name, samples] = this.#names.entries().next().value!
      if (samples.count < REFRESH_EVERY || samples.isSpared) this.#names.delete(name)
      else this.#moveToEnd(name, samples, true)
    }
  }
}

/** The newest durations of one name, in ms. */
class Samples implements NameFacts {
  isSpared = false
  readonly #durations: number[] = []
  #next = 0
  #added = 0
  #p95Ms = 0
  #median = 0
  #spread = 0

  get count (): number { return this.#durations.length }
  get p95Ms (): number { return this.#p95Ms }

  add (durationMs: number): void {
    this.#durations[this.#next] = durationMs
    this.#next = (this.#next + 1) % MAX_SAMPLES
    this.#added++
    if (this.count <= 2 * REFRESH_EVERY || this.#added % REFRESH_EVERY === 0) this.#refresh()
  }

  /** How far a duration is above the others: the modified z-score of its logarithm. */
  score (durationMs: number): number {
    return MAD_SCALE * (logOf(durationMs) - this.#median) / Math.max(this.#spread, LEAST_SPREAD)
  }

  #refresh (): void {
    const sorted = [...this.#durations].sort((a, b) => a - b)
    this.#p95Ms = sorted[Math.ceil(sorted.length * 0.95) - 1]!
    const logs = sorted.map(logOf)
    this.#median = middleOf(logs)
    this.#spread = middleOf(logs.map((log) => Math.abs(log - this.#median)).sort((a, b) => a - b))
  }
}

const logOf = (ms: number): number => Math.log(Math.max(1, ms))

/** The median of sorted numbers. */
export const middleOf = (sorted: readonly number[]): number => sorted[Math.floor((sorted.length - 1) / 2)]!
