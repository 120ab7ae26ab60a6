import type { Batch } from './batch.js'
import type { Message } from '../wire/message.js'

/** Who gets messages, alone or with others. */
export interface Traveller {
  send (message: Message): void
  /** Goes along with a convoy for this turn, if it has nothing of its own on its way. Gives whether it does. */
  ride (convoy: Convoy): boolean
  rides (convoy: Convoy): boolean
}

export type Travellers = ReadonlySet<{ readonly outbox: Traveller }>

/**
 * Those who get the very same in one turn of the event loop, so that a further message costs one step and not one for each of them. Whoever
 * gets something of its own, leaves the channel or closes parts from it; and whoever cannot ride gets each message alone.
 */
export class Convoy {
  #batch: Batch
  #riders = 0

  /** `first` is the batch with the first message. */
  constructor (first: Batch, message: Message, travellers: Travellers) {
    this.#batch = first
    for (const { outbox } of travellers) {
      if (outbox.ride(this)) this.#riders++
      else outbox.send(message)
    }
  }

  /** All that its riders get in this turn so far. */
  get batch (): Batch { return this.#batch }

  /** One more message for these, among whom all riders are. */
  give (message: Message, travellers: Travellers): void {
    this.#batch = this.#batch.add(message)
    if (this.#riders === travellers.size) return
    for (const { outbox } of travellers) if (!outbox.rides(this)) outbox.send(message)
  }

  /** To be called when a rider goes on alone, from this batch. */
  part (): Batch {
    this.#riders--
    return this.#batch
  }
}
