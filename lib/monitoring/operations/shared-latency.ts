import type { LatencyHistogram } from '../../../schemas/metrics.js'
import type { LatencyCounts } from './latency-buckets.js'
import { TotalLatency, type TotalLatencyCounts } from './total-latency.js'

/**
 * The durations of all processes since an epoch of this one. Durations of another process count from its first report
 * on, so that nothing is counted twice, a lost report loses nothing, and no count falls when a process ends.
 */
export class SharedLatency {
  readonly #total = new TotalLatency()
  readonly #last = new Map<string, { counts: ReadonlyMap<number, number>, sumMs: number }>()

  /** Takes all durations that a process has counted so far; from `isNew` on, it counts. */
  update (process: string, { counts, sumMs }: TotalLatencyCounts, isNew = false): void {
    const before = this.#last.get(process) ?? (isNew ? NOTHING : undefined)
    this.#last.set(process, { counts: new Map(counts), sumMs })
    if (before === undefined) return
    const added = counts.map(([bucket, count]): LatencyCounts[number] =>
      [bucket, Math.max(0, count - (before.counts.get(bucket) ?? 0))])
    this.#total.add({ counts: added, sumMs: Math.max(0, sumMs - before.sumMs) })
  }

  /** Forgets the counts of a process. */
  forget (process: string): void {
    this.#last.delete(process)
  }

  read (): LatencyHistogram {
    return this.#total.read()
  }
}

const NOTHING = { counts: new Map<number, number>(), sumMs: 0 }
