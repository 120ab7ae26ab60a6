import type { Batch } from './batch.js'
import type { Message } from '../wire/message.js'

/** Who gets messages, alone or with others. */
export interface Member {
  send (message: Message): void
  /** Goes along with a convoy for this turn, if it has nothing of its own on its way. Gives whether it does. */
  joinShared (convoy: SharedBatch): boolean
  isMemberOf (convoy: SharedBatch): boolean
}

export type Members = ReadonlySet<{ readonly outbox: Member }>

/**
 * Those who get the very same in one turn of the event loop, so that a further message costs one step and not one for each of them. Whoever
 * gets something of its own, leaves the channel or closes parts from it; and whoever cannot ride gets each message alone.
 */
export class SharedBatch {
  #batch: Batch
  #joinedCount = 0

  /** `first` is the batch with the first message. */
  constructor (first: Batch, message: Message, travellers: Members) {
    this.#batch = first
    for (const { outbox } of travellers) {
      if (outbox.joinShared(this)) this.#joinedCount++
      else outbox.send(message)
    }
  }

  /** All that its riders get in this turn so far. */
  get batch (): Batch { return this.#batch }

  /** One more message for these, among whom all riders are. */
  add (message: Message, travellers: Members): void {
    this.#batch = this.#batch.add(message)
    if (this.#joinedCount === travellers.size) return
    for (const { outbox } of travellers) if (!outbox.isMemberOf(this)) outbox.send(message)
  }

  /** To be called when a rider goes on alone, from this batch. */
  detach (): Batch {
    this.#joinedCount--
    return this.#batch
  }
}
