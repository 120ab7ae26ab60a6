import type { OperationCounters } from './operation-series.js'
import { MAX_PAIRS, OTHER } from './operations.js'

/** How long an operation counts that no process reports any more, because those that did have ended. */
const KEPT_MS = 3_600_000

type Counts = Pick<OperationCounters, 'success' | 'error' | 'durationCount' | 'durationSumMs'>

interface Shared extends OperationCounters { seenAt: number }

/**
 * The operations of all processes. What another process has counted before it first reports an operation does not
 * count, so that nothing is counted twice, a lost report loses nothing, and no count falls when a process ends. Bounded
 * as the operations of one process are. Times are in ms of the monotonic clock.
 */
export class SharedOperations {
  readonly #shared = new Map<string, Shared>()
  readonly #last = new Map<string, ReadonlyMap<string, Counts>>()

  /** Takes the counters of a process; with `isNew`, its first ones count. */
  update (process: string, operations: readonly OperationCounters[], at: number, isNew = false): void {
    const before = this.#last.get(process)
    const counters = new Map(operations.map((one) => [keyOf(one), one]))
    this.#last.set(process, counters)
    for (const [key, one] of counters) {
      const shared = this.#find(key, one, at)
      shared.seenAt = at
      const last = before?.get(key) ?? (isNew ? NOTHING : one)
      for (const name of COUNTS) shared[name] += Math.max(0, one[name] - last[name])
    }
  }

  /** Forgets the counters of a process. Its operations are kept for an hour. */
  forget (process: string): void {
    this.#last.delete(process)
  }

  read (at: number): OperationCounters[] {
    for (const [key, { seenAt }] of this.#shared) if (at - seenAt > KEPT_MS) this.#shared.delete(key)
    return [...this.#shared.values()]
  }

  #find (key: string, { component, operation }: OperationCounters, at: number): Shared {
    const known = this.#shared.get(key)
    if (known !== undefined) return known
    if (this.#shared.size >= MAX_PAIRS && key !== OTHERS) return this.#find(OTHERS, OTHER_PAIR, at)
    const shared = { component, operation, ...NOTHING, seenAt: at }
    this.#shared.set(key, shared)
    return shared
  }
}

/** The `max` operations that were reported most. */
export function mostReported (operations: readonly OperationCounters[], max: number): OperationCounters[] {
  return [...operations].sort((a, b) => (b.success + b.error) - (a.success + a.error)).slice(0, max)
    .map(({ component, operation, success, error, durationCount, durationSumMs }) =>
      ({ component, operation, success, error, durationCount, durationSumMs }))
}

const COUNTS = ['success', 'error', 'durationCount', 'durationSumMs'] as const
const NOTHING: Counts = { success: 0, error: 0, durationCount: 0, durationSumMs: 0 }

// A label value contains no space.
const keyOf = ({ component, operation }: OperationCounters): string => `${component} ${operation}`

const OTHER_PAIR: OperationCounters = { component: OTHER, operation: OTHER, ...NOTHING }
const OTHERS = keyOf(OTHER_PAIR)
