import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'

/** An update of this process, and its JSON as it was sent. */
export interface OwnUpdate { readonly update: MissionUpdate, readonly text: string }

/** More are hardly ever on their way. */
const MAX_UPDATES = 4_096

/**
 * The updates that this process has sent to the log and not read back yet. Their text need not be parsed and checked
 * again if the log has it unchanged.
 */
export class OwnUpdates {
  readonly #updates = new Map<string, OwnUpdate>()

  put (messageId: string, own: OwnUpdate): void {
    this.#updates.set(messageId, own)
    // Those that were refused are never read back.
    if (this.#updates.size > MAX_UPDATES) this.#updates.delete(this.#updates.keys().next().value!)
  }

  clear (): void { this.#updates.clear() }

  /** Returns an update once, if the log has exactly this text for it. */
  take (messageId: string, text: string): MissionUpdate | undefined {
    const own = this.#updates.get(messageId)
    if (own === undefined) return undefined
    this.#updates.delete(messageId)
    return own.text === text ? own.update : undefined
  }
}
