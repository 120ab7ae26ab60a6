import type { Entry } from './entry.js'
import type { Row } from './rows.js'

export interface Shown {
  readonly rows: readonly Row[]
  readonly newCount: number
}

/**
 * Holds the table still while it is being read: visible rows stay where they are, even if they no longer match, and new
 * rows wait until the visitor asks for them.
 */
export class Reading {
  #kept: readonly Row[] | undefined

  /** The rows to show. `fresh` are the rows that would be shown if the table was not held still. */
  show (fresh: readonly Row[], isReading: boolean, isKnown: (entry: Entry) => boolean): Shown {
    if (!isReading || this.#kept === undefined) {
      this.#kept = isReading ? fresh : undefined
      return { rows: fresh, newCount: 0 }
    }
    const rows = this.#kept.every(({ entry }) => isKnown(entry))
      ? this.#kept
      : this.#kept.filter(({ entry }) => isKnown(entry))
    this.#kept = rows
    const ids = new Set(rows.map(({ entry }) => entry.id))
    return { rows, newCount: fresh.reduce((count, { entry }) => count + Number(!ids.has(entry.id)), 0) }
  }

  /** Shows everything from now on, because the visitor wants it or has chosen another view. */
  release (): void {
    this.#kept = undefined
  }
}
