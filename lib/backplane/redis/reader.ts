import { BackplaneAway } from '../../base/errors.js'
import type { LogBatch, SharedLogPosition, ReadResult } from '../contract.js'
import type { RedisConnection } from './client/redis-connection.js'
import { decodePart, type BatchPart, type StreamEntry } from './encoding/batches.js'

/** How many entries of the stream one read returns at most. */
const READ_ENTRIES = 64

/** Sorts after every id with the same first number. */
const LAST = '18446744073709551615'

export interface ReaderDeps {
  connection: RedisConnection
  /** Returns the name of a key. */
  key: (name: string) => string
  /** Removes entries from the log that are not batches. */
  purge: (ids: readonly string[]) => Promise<void>
  /** Called with the number of entries that were broken. */
  onBroken: (count: number) => void
  /** The last sequence that another connection has seen most recently. */
  seen: () => number
}

type Reply = ReadonlyArray<readonly [key: string, entries: readonly StreamEntry[]]> | null

/** Reads the log on a connection of its own, because a read that waits holds up all other commands. */
export class Reader {
  readonly #connection: RedisConnection
  readonly #key: ReaderDeps['key']
  readonly #purge: ReaderDeps['purge']
  readonly #onBroken: ReaderDeps['onBroken']
  readonly #seen: ReaderDeps['seen']
  /** How many entries the next read asks for: fewer after a failure, which may be due to a slow network. */
  #count = READ_ENTRIES
  /** The opening of the connection at which the position was compared with the log. */
  #checked = 0

  constructor ({ connection, key, purge, onBroken, seen }: ReaderDeps) {
    this.#connection = connection
    this.#key = key
    this.#purge = purge
    this.#onBroken = onBroken
    this.#seen = seen
  }

  /** See `SharedLog.read`. */
  async read (after: SharedLogPosition, waitMs: number): Promise<ReadResult> {
    // The log may be another one behind another connection, and a read that waits would not notice.
    while (!this.#connection.isReady || this.#connection.openings !== this.#checked) {
      const found = await this.#check(after)
      if (found !== undefined) return { outcome: found }
      this.#checked = this.#connection.openings
    }
    const entries = await this.#fetch(after.sequence, waitMs)
    if (entries.length > 0) return await this.#decode(entries, after)
    // A connection may outlive a failover, after which the log is shorter.
    const found = await this.#check(after)
    return found === undefined ? { outcome: 'batches', batches: [] } : { outcome: found }
  }

  async #fetch (sequence: number, waitMs: number): Promise<readonly StreamEntry[]> {
    const count = this.#count
    this.#count = Math.max(1, count >> 2)
    const entries = await this.#entries(sequence, count, waitMs)
    this.#count = Math.min(READ_ENTRIES, count * 2)
    return entries
  }

  async #entries (sequence: number, count: number, waitMs: number): Promise<readonly StreamEntry[]> {
    const block = waitMs > 0 ? ['BLOCK', Math.ceil(waitMs)] : []
    const args = ['COUNT', count, ...block, 'STREAMS', this.#key('log'), `${sequence}-${LAST}`]
    const reply = await this.#connection.call('xread', args, Math.max(waitMs, 0)) as Reply
    return reply?.[0]?.[1] ?? []
  }

  /** Compares a position with the head of the log. */
  async #check ({ epoch, sequence, token }: SharedLogPosition): Promise<'diverged' | 'trimmed' | undefined> {
    const seen = this.#seen()
    const fields = ['epoch', 'sequence', 'token']
    const head = await this.#connection.call('hmget', [this.#key('meta'), ...fields]) as Array<string | null>
    const last = Number(head[1])
    if (head[0] !== epoch || last < sequence) return 'diverged'
    if (last < seen) this.#leave()
    if (last === sequence) return head[2] === token ? undefined : 'diverged'
    const next = await this.#entries(sequence, 1, 0)
    return next.length === 0 ? 'trimmed' : undefined
  }

  /** Connects again: this connection leads to a server that is no longer the one that others write to. */
  #leave (): never {
    this.#connection.drop()
    throw new BackplaneAway('the server is behind another one')
  }

  async #decode (entries: readonly StreamEntry[], after: SharedLogPosition): Promise<ReadResult> {
    const parts = await this.#parts(entries)
    let next = parts
    while (next.at(-1)?.hasMore === true) {
      const last = parts.at(-1)!
      next = await this.#parts(await this.#fetch(last.after + last.entries.length, 0))
      parts.push(...next)
    }
    return follow(joinParts(parts), after)
  }

  /** The parts of batches among entries of the stream. Other entries are removed from it. */
  async #parts (entries: readonly StreamEntry[]): Promise<BatchPart[]> {
    const foreign: string[] = []
    const parts = entries.flatMap((entry) => {
      const part = decodePart(entry)
      if (part === undefined) foreign.push(entry[0])
      return part ?? []
    })
    const broken = parts.reduce((sum, part) => sum + part.broken, foreign.length)
    if (broken > 0) this.#onBroken(broken)
    if (foreign.length > 0) await this.#purge(foreign)
    return parts
  }
}

/** Joins the parts of each batch, and drops one at the end that is not complete. */
function joinParts (parts: readonly BatchPart[]): LogBatch[] {
  const batches: LogBatch[] = []
  let open: BatchPart | undefined
  for (const part of parts) {
    open = open === undefined ? part : { ...part, after: open.after, entries: [...open.entries, ...part.entries] }
    if (part.hasMore) continue
    batches.push(toBatch(open))
    open = undefined
  }
  return batches
}

const toBatch = ({ hasMore, broken, ...batch }: BatchPart): LogBatch => batch

/** The batches that follow a position one after the other. */
function follow (batches: readonly LogBatch[], after: SharedLogPosition): ReadResult {
  let { epoch, sequence, token } = after
  const chained: LogBatch[] = []
  for (const batch of batches) {
    const isNext = batch.epoch === epoch && batch.after === sequence && batch.previous === token
    if (!isNext && chained.length === 0) {
      return { outcome: batch.epoch === epoch && batch.after > sequence ? 'trimmed' : 'diverged' }
    }
    // What is wrong here is told by the next read.
    if (!isNext) break
    chained.push(batch)
    sequence = batch.after + batch.entries.length
    token = batch.token
  }
  return { outcome: 'batches', batches: chained }
}
