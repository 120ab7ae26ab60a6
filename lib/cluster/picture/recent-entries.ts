import type { LogBatch, LogEntry } from '../../backplane/contract.js'
import type { Clock } from '../../base/clock.js'
import { shrinkFairly } from '../../base/limits/fair-share.js'
import { Queue } from '../../base/queue.js'

/** A reliable entry of the log; `at` is in ms since 1970. */
export interface RecentEntry { readonly entry: LogEntry, readonly at: number }

export interface RecentEntriesOptions { maxMessages: number, maxBytes: number, maxAgeMs: number }

/** When the tenants have too many entries, a few more are dropped, so that this is not needed for each entry. */
const KEPT_SHARE = 0.95

class EntryList {
  readonly entries = new Queue<RecentEntry>()
  bytes = 0

  get size (): number { return this.entries.length }

  push (recent: RecentEntry): void {
    this.entries.push(recent)
    this.bytes += recent.entry.update.length
  }

  shrinkTo (size: number): void {
    while (this.size > size) this.drop()
  }

  drop (): void {
    this.bytes -= this.entries.shift()!.entry.update.length
  }
}

/**
 * The newest reliable entries of the log: all of them for operators, and those of each tenant, of whose entries a busy
 * tenant takes no room. A client that was cut from another process resumes from them.
 */
export class RecentEntries {
  readonly #clock: Clock
  readonly #options: RecentEntriesOptions
  #all = new EntryList()
  readonly #tenants = new Map<string, EntryList>()
  #tenantCount = 0

  constructor (clock: Clock, options: RecentEntriesOptions) {
    this.#clock = clock
    this.#options = options
  }

  /** Begins with the history of the log up to this sequence. */
  load (history: readonly LogBatch[], upTo: number): void {
    this.#all = new EntryList()
    this.#tenants.clear()
    this.#tenantCount = 0
    for (const { entries, at } of history) {
      for (const entry of entries) if (entry.sequence <= upTo) this.put(entry, at)
    }
  }

  put (entry: LogEntry, at: number): void {
    if (entry.offset === 0) return
    const recent = { entry, at }
    this.#all.push(recent)
    this.#trim(this.#all)
    if (entry.tenant === null) return
    const list = this.#tenants.get(entry.tenant) ?? new EntryList()
    this.#tenants.set(entry.tenant, list)
    list.push(recent)
    this.#tenantCount++
    if (this.#tenantCount > this.#options.maxMessages) this.#makeRoom()
  }

  /**
   * The newest entries of a channel for a tenant, or for operators, oldest first: up to the last one without a hole in
   * their offsets.
   */
  of (channel: string, tenant: string | undefined): RecentEntry[] {
    const list = tenant === undefined ? this.#all : this.#tenants.get(tenant)
    if (list === undefined) return []
    this.#trim(list)
    const found: RecentEntry[] = []
    for (let at = list.size - 1; at >= 0; at--) {
      const recent = list.entries.at(at)!
      if (channelOf(recent.entry) !== channel) continue
      const next = found.at(-1)
      if (next !== undefined && offsetIn(recent.entry, tenant) !== offsetIn(next.entry, tenant) - 1) break
      found.push(recent)
    }
    return found.reverse()
  }

  #trim (list: EntryList): void {
    const { maxMessages, maxBytes, maxAgeMs } = this.#options
    const oldestAt = this.#clock.now() - maxAgeMs
    for (let oldest = list.entries.first; oldest !== undefined; oldest = list.entries.first) {
      if (list.size <= maxMessages && list.bytes <= maxBytes && oldest.at >= oldestAt) return
      list.drop()
    }
  }

  #makeRoom (): void {
    shrinkFairly(this.#tenants.values(), Math.floor(this.#options.maxMessages * KEPT_SHARE))
    this.#tenantCount = 0
    for (const [tenant, list] of this.#tenants) {
      this.#tenantCount += list.size
      if (list.size === 0) this.#tenants.delete(tenant)
    }
  }
}

export const channelOf = (entry: LogEntry): string => entry.kind === 'mission' ? 'mission_update' : entry.channel

export const offsetIn = (entry: LogEntry, tenant: string | undefined): number =>
  tenant === undefined ? entry.offset : entry.tenantOffset
