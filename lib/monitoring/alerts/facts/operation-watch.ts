import type { OperationCounters } from '../../operations/operation-series.js'
import type { OperationFact } from './alert-facts.js'

/** The history of one operation. Times are in ms. */
interface Watched {
  count: number
  durationCount: number
  durationSumMs: number
  reports: number
  /** The time without a report, while others were reported. */
  silentMs: number
  longestSilentMs: number
  /** The mean duration between two evaluations. */
  meanMs: number
  means: number
  unchangedMs: number
}

/**
 * Watches whether operations are still reported, and whether their durations still vary; read once for each evaluation.
 * Only time in which anything is reported counts, so that a quiet night is no silence. As bounded as the series are.
 */
export class OperationWatch {
  #watched: ReadonlyMap<string, Watched> = new Map()
  #readAt: number | undefined

  read (at: number, series: readonly OperationCounters[]): OperationFact[] {
    const passedMs = at - (this.#readAt ?? at)
    this.#readAt = at
    const before = this.#watched
    this.#watched = new Map(series.map((one) => [keyOf(one), before.get(keyOf(one)) ?? create()]))
    const isBusy = series.some((one) => countOf(one) > this.#watched.get(keyOf(one))!.count)
    return series.map((one) => {
      const watched = this.#watched.get(keyOf(one))!
      if (countOf(one) > watched.count) report(watched, one, passedMs)
      else if (isBusy) watched.silentMs += passedMs
      const { component, operation } = one
      const { reports, silentMs, longestSilentMs, meanMs, means, unchangedMs } = watched
      return { component, operation, reports, silentMs, longestSilentMs, meanMs, means, unchangedMs }
    })
  }
}

const create = (): Watched => ({
  count: 0,
  durationCount: 0,
  durationSumMs: 0,
  reports: 0,
  silentMs: 0,
  longestSilentMs: 0,
  meanMs: 0,
  means: 0,
  unchangedMs: 0
})

function report (watched: Watched, one: OperationCounters, passedMs: number): void {
  watched.reports++
  watched.longestSilentMs = Math.max(watched.longestSilentMs, watched.silentMs)
  watched.silentMs = 0
  watched.count = countOf(one)
  const timed = one.durationCount - watched.durationCount
  if (timed === 0) return
  const meanMs = (one.durationSumMs - watched.durationSumMs) / timed
  watched.durationCount = one.durationCount
  watched.durationSumMs = one.durationSumMs
  // Sums of equal numbers differ a little from their product.
  const isSame = Math.abs(meanMs - watched.meanMs) <= meanMs * 1e-9
  watched.unchangedMs = isSame ? watched.unchangedMs + passedMs : 0
  if (!isSame) watched.means++
  watched.meanMs = meanMs
}

const countOf = ({ success, error }: OperationCounters): number => success + error
const keyOf = ({ component, operation }: OperationCounters): string => `${component} ${operation}`
