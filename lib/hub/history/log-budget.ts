import { shrinkFairly, type Holder } from '../../base/limits/fair-share.js'

/** When the logs together are too large, a little more is dropped, so that this is not needed at each message. */
const KEPT_SHARE = 0.95

/**
 * The limit that several message logs share. The largest log drops its oldest messages first, so that it does not
 * shorten the history of the others.
 */
export class LogBudget {
  readonly #maxMessages: number
  readonly #maxBytes: number
  readonly #logs = new Set<Holder>()
  #messages = 0
  #bytes = 0

  constructor ({ maxMessages, maxBytes }: { maxMessages: number, maxBytes: number }) {
    this.#maxMessages = maxMessages
    this.#maxBytes = maxBytes
  }

  get size (): { bytes: number, messages: number } { return { bytes: this.#bytes, messages: this.#messages } }

  /** The share of the budget that messages use, in bytes: many small messages may count as much as few large ones. */
  weigh (messages: number, bytes: number): number {
    return Math.max(bytes, Math.ceil(messages * this.#maxBytes / this.#maxMessages))
  }

  join (log: Holder): void {
    this.#logs.add(log)
  }

  /** To be called when the log was cleared and is no longer used. */
  leave (log: Holder): void {
    this.#logs.delete(log)
  }

  /** A log has got or dropped messages. */
  changed (messages: number, bytes: number): void {
    this.#messages += messages
    this.#bytes += bytes
  }

  /** Makes room, if the logs hold too much; to be called after a message was added. */
  enforce (): void {
    if (this.#messages <= this.#maxMessages && this.#bytes <= this.#maxBytes) return
    shrinkFairly(this.#logs, Math.floor(this.#maxBytes * KEPT_SHARE))
  }
}
