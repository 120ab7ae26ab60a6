import type { LogBatch, LogEntry } from '../contract.js'
import { weighEntry } from './batch-log.js'

/** What each shard keeps. */
const MAX_ENTRIES = 2_500
const MAX_BYTES = 4_194_304

/** The number of shards for the entries of tenants; one more is for those without a tenant. */
const TENANT_SHARDS = 8

type BatchHead = Omit<LogBatch, 'entries'>

interface Kept { readonly head: BatchHead, readonly entry: LogEntry, readonly bytes: number }

/** The last reliable entries. A tenant with many entries takes room only from the tenants in the same shard. */
export class EntryHistory {
  #shards = Array.from({ length: TENANT_SHARDS + 1 }, () => new Shard())

  push (batch: LogBatch): void {
    const { entries, ...head } = batch
    for (const entry of entries) {
      if (entry.offset === 0) continue
      const slim = entry.kind === 'mission' ? { ...entry, state: '' } : entry
      this.#shards[shardOf(entry.tenant)]!.push({ head, entry: slim, bytes: weighEntry(slim) })
    }
  }

  /** The entries that are kept, oldest first, in batches as they were appended. */
  read (): LogBatch[] {
    const all = this.#shards.flatMap((shard) => shard.kept)
    all.sort((a, b) => a.entry.sequence - b.entry.sequence)
    const groups = new Map<BatchHead, LogEntry[]>()
    for (const { head, entry } of all) {
      const entries = groups.get(head)
      if (entries === undefined) groups.set(head, [entry])
      else entries.push(entry)
    }
    return Array.from(groups, ([head, entries]) => ({ ...head, entries }))
  }

  clear (): void {
    this.#shards = this.#shards.map(() => new Shard())
  }
}

class Shard {
  readonly kept: Kept[] = []
  #bytes = 0

  push (one: Kept): void {
    this.kept.push(one)
    this.#bytes += one.bytes
    while (this.kept.length > MAX_ENTRIES || this.#bytes > MAX_BYTES) this.#bytes -= this.kept.shift()!.bytes
  }
}

function shardOf (tenant: string | null): number {
  if (tenant === null) return 0
  let hash = 0
  for (let at = 0; at < tenant.length; at++) hash = (Math.imul(hash, 31) + tenant.charCodeAt(at)) >>> 0
  return 1 + hash % TENANT_SHARDS
}
