/** Minimum number of empty slots at the front before the array is compacted. */
const COMPACT_FROM = 1_024

/**
 * A first-in, first-out queue with a moving head: `shift` is O(1) amortized, while `Array.prototype.shift` on a long
 * array moves every entry. Entries can be read by index; index 0 is the oldest entry.
 */
export class Queue<T> {
  #entries: Array<T | undefined> = []
  #head = 0

  get length (): number { return this.#entries.length - this.#head }

  /** The oldest entry, or `undefined`. */
  get first (): T | undefined { return this.#entries[this.#head] }

  push (entry: T): void {
    this.#entries.push(entry)
  }

  /** The entry at `index`, or `undefined` outside of the queue. */
  at (index: number): T | undefined {
    return index < 0 ? undefined : this.#entries[this.#head + index]
  }

  /** Removes the oldest entry and returns it. */
  shift (): T | undefined {
    if (this.length === 0) return undefined
    const entry = this.#entries[this.#head]
    this.#entries[this.#head++] = undefined
    this.#compact()
    return entry
  }

  /** A copy of the entries from index `from` up to, but not including, `to`. */
  slice (from = 0, to = this.length): T[] {
    return this.#entries.slice(this.#head + from, this.#head + to) as T[]
  }

  /**
   * The index of the first entry for which `isPast` returns true, or `length`. All entries for which it returns false
   * must come before it.
   */
  findIndexSorted (isPast: (entry: T) => boolean): number {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isPast(this.#entries[this.#head + middle] as T)) high = middle
      else low = middle + 1
    }
    return low
  }

  clear (): void {
    this.#entries = []
    this.#head = 0
  }

  #compact (): void {
    if (this.#head < COMPACT_FROM || this.#head * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#head)
    this.#head = 0
  }
}
