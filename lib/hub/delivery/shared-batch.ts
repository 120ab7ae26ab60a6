import type { Batch } from './batch.js'
import type { Message } from '../wire/message.js'

export interface Member {
  send (message: Message): void
  /** Joins a shared batch for this tick, unless the member has other messages to send. Returns whether it joined. */
  joinShared (shared: SharedBatch): boolean
  isMemberOf (shared: SharedBatch): boolean
}

export type Members = ReadonlySet<{ readonly outbox: Member }>

/**
 * The batch of connections that receive identical messages in this tick, so that each further message costs one step in
 * total instead of one per connection. A member detaches when it receives a message of its own, leaves the channel or
 * closes. A connection that cannot join receives each message separately.
 */
export class SharedBatch {
  #batch: Batch
  #joinedCount = 0

  /** `first` is the batch that ends with `message`. */
  constructor (first: Batch, message: Message, members: Members) {
    this.#batch = first
    for (const { outbox } of members) {
      if (outbox.joinShared(this)) this.#joinedCount++
      else outbox.send(message)
    }
  }

  /** All that the joined members receive in this tick so far. */
  get batch (): Batch { return this.#batch }

  /** Adds a message for these members, which include all that joined. */
  add (message: Message, members: Members): void {
    this.#batch = this.#batch.add(message)
    if (this.#joinedCount === members.size) return
    for (const { outbox } of members) if (!outbox.isMemberOf(this)) outbox.send(message)
  }

  /** To be called when a member detaches; it continues alone from the returned batch. */
  detach (): Batch {
    this.#joinedCount--
    return this.#batch
  }
}
