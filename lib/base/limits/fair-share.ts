/** One that holds a part of what is limited for all together. */
export interface Holder {
  readonly size: number
  /** Drops its oldest parts until it holds at most `size`. */
  shrinkTo (size: number): void
}

/**
 * Makes holders give up parts until all together hold at most `target`: the largest ones alone, down to the same size,
 * so that one that holds much takes nothing from those that hold little. Sorts all holders; a caller that leaves some
 * room below its limit needs it rarely.
 */
export function shrinkFairly (holders: Iterable<Holder>, target: number): void {
  const largestFirst = [...holders].sort((a, b) => b.size - a.size)
  let rest = largestFirst.reduce((sum, { size }) => sum + size, 0)
  for (const [at, holder] of largestFirst.entries()) {
    rest -= holder.size
    const share = Math.max(0, Math.floor((target - rest) / (at + 1)))
    if (share < (largestFirst[at + 1]?.size ?? 0)) continue
    for (const large of largestFirst.slice(0, at + 1)) if (large.size > share) large.shrinkTo(share)
    return
  }
}
