import type { LogEntry, StoredHead } from '../contract.js'

/** The number of heads of tenants that are kept. */
const MAX_TENANT_HEADS = 20_000

/** Where an entry is in the streams of its channel: that of operators, and that of its tenant. 0 if it is in none. */
export type EntryOffsets = Pick<LogEntry, 'offset' | 'tenantOffset'>

interface Streamed { readonly channel: string, readonly tenant: string | null, readonly messageId: string }

/**
 * The last offset of each channel, for operators and for each tenant. Of too many heads of tenants, the one that has
 * not changed for longest is forgotten: its offsets start again, and clients recognise that by the ids of messages.
 */
export class HeadTable {
  readonly #operators = new Map<string, StoredHead>()
  readonly #tenants = new Map<string, StoredHead>()
  readonly #maxTenants: number

  constructor (maxTenants = MAX_TENANT_HEADS) {
    this.#maxTenants = maxTenants
  }

  /** Adds a message to the streams that it belongs to. */
  add ({ channel, tenant, messageId }: Streamed): EntryOffsets {
    const offset = (this.#operators.get(channel)?.offset ?? 0) + 1
    this.#operators.set(channel, { channel, tenant: null, offset, messageId })
    if (tenant === null) return { offset, tenantOffset: 0 }
    const key = JSON.stringify([channel, tenant])
    const tenantOffset = (this.#tenants.get(key)?.offset ?? 0) + 1
    this.#tenants.delete(key)
    this.#tenants.set(key, { channel, tenant, offset: tenantOffset, messageId })
    if (this.#tenants.size > this.#maxTenants) this.#forgetOldest()
    return { offset, tenantOffset }
  }

  read (): StoredHead[] {
    return [...this.#operators.values(), ...this.#tenants.values()]
  }

  #forgetOldest (): void {
    const [oldest] = this.#tenants.keys()
    this.#tenants.delete(oldest!)
  }
}
