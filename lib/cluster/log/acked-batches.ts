/**
 * The own batches that the log has acknowledged and that were not read back from it. One that should have been read and
 * was not is lost: the log was restored from before it.
 */
export class AckedBatches {
  readonly #unseen = new Set<number>()
  #seenUpTo = 0
  #highest = 0

  /** The number of the last acknowledged batch. */
  get highest (): number { return this.#highest }

  acked (number: number): void {
    this.#highest = number
    if (number > this.#seenUpTo) this.#unseen.add(number)
  }

  seen (number: number): void {
    this.#seenUpTo = number
    this.#unseen.delete(number)
  }

  /** Whether a batch was not read although a later one was, or although the log was read to its end after `upTo`. */
  isMissing (upTo: number): boolean {
    const last = Math.max(upTo, this.#seenUpTo)
    for (const number of this.#unseen) if (number <= last) return true
    return false
  }

  /** The log was loaded, so that these batches are known. */
  skip (): void {
    this.#seenUpTo = this.#highest
    this.#unseen.clear()
  }

  /** Another instance begins with number 1. */
  restart (): void {
    this.#unseen.clear()
    this.#seenUpTo = this.#highest = 0
  }
}
