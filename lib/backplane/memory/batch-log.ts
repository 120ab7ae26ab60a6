import type { LogBatch, LogEntry, SharedLogPosition } from '../contract.js'

/** What the log keeps for processes that read on. */
const MAX_BATCHES = 8_192
const MAX_BYTES = 33_554_432

/** How many batches one read returns at most. */
const READ_BATCHES = 1_000

/** What an entry takes besides its texts. */
const ENTRY_BYTES = 256

export interface BatchLogOptions { maxBatches?: number, maxBytes?: number }

export type BatchesAfter = readonly LogBatch[] | 'trimmed' | 'diverged'

/** The size of an entry in memory, roughly. */
export function weighEntry (entry: LogEntry): number {
  const own = entry.kind === 'mission' ? entry.state.length : entry.retain?.value.length ?? 0
  return ENTRY_BYTES + own + entry.update.length
}

/** The last batches, and the position after them. */
export class BatchLog {
  readonly #maxBatches: number
  readonly #maxBytes: number
  #position: SharedLogPosition
  #batches: LogBatch[] = []
  #bytes = 0

  constructor (epoch: string, { maxBatches = MAX_BATCHES, maxBytes = MAX_BYTES }: BatchLogOptions) {
    this.#maxBatches = maxBatches
    this.#maxBytes = maxBytes
    this.#position = { epoch, sequence: 0, token: '' }
  }

  /** The last position. */
  get position (): SharedLogPosition { return this.#position }

  push (batch: LogBatch): void {
    const { epoch, token, entries } = batch
    this.#batches.push(batch)
    this.#bytes += weighBatch(batch)
    this.#position = { epoch, sequence: entries.at(-1)!.sequence, token }
    while (this.#batches.length > this.#maxBatches || this.#bytes > this.#maxBytes) {
      this.#bytes -= weighBatch(this.#batches.shift()!)
    }
  }

  /** Begins another epoch at the last position. No reader of this epoch needs an earlier batch. */
  restart (epoch: string): void {
    this.#position = { ...this.#position, epoch }
    this.#batches = []
    this.#bytes = 0
  }

  /** The batches after a position, oldest first; not necessarily all. */
  after ({ epoch, sequence, token }: SharedLogPosition): BatchesAfter {
    const head = this.#position
    if (epoch !== head.epoch || sequence > head.sequence) return 'diverged'
    if (sequence === head.sequence) return token === head.token ? [] : 'diverged'
    const at = this.#findAfter(sequence)
    const next = this.#batches[at]
    // Whether the position is right cannot be told if its batch and the next one are gone.
    const oldest = this.#batches[0]?.after ?? head.sequence
    if (sequence < oldest) return 'trimmed'
    const isChained = next?.after === sequence && next.previous === token
    return isChained ? this.#batches.slice(at, at + READ_BATCHES) : 'diverged'
  }

  /** The index of the first batch that does not begin before the position after `sequence`. */
  #findAfter (sequence: number): number {
    let low = 0
    let high = this.#batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#batches[middle]!.after >= sequence) high = middle
      else low = middle + 1
    }
    return low
  }
}

const weighBatch = ({ entries }: LogBatch): number => entries.reduce((sum, entry) => sum + weighEntry(entry), 0)
