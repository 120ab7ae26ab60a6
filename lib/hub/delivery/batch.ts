import type { Encoding, Message } from '../wire/message.js'

/** What is handed to a socket in one write. */
export interface Writable {
  readonly count: number
  encoded (encoding: Encoding): Buffer
  messages (): Message[]
}

/**
 * The messages of one turn of the event loop that some connections get: a path in a tree, in which connections that get the same
 * messages in the same order are at the same place. So they share the joined buffer too, whatever they are subscribed to.
 */
export class Batch implements Writable {
  readonly parent: Batch | undefined
  readonly message: Message | undefined
  readonly count: number
  readonly bytes: number
  // Nearly always one: only connections with other subscriptions part here.
  #next: Batch | undefined
  #others: Map<Message, Batch> | undefined
  #joined: Buffer | undefined
  #joinedAs: Encoding | undefined

  constructor (parent?: Batch, message?: Message) {
    this.parent = parent
    this.message = message
    this.count = parent === undefined ? 0 : parent.count + 1
    this.bytes = (parent?.bytes ?? 0) + (message?.bytes ?? 0)
  }

  /** The batch with one more message. */
  add (message: Message): Batch {
    if (this.#next?.message === message) return this.#next
    if (this.#next === undefined) return (this.#next = new Batch(this, message))
    const others = (this.#others ??= new Map())
    const known = others.get(message)
    if (known !== undefined) return known
    const batch = new Batch(this, message)
    others.set(message, batch)
    return batch
  }

  messages (): Message[] {
    const messages = new Array<Message>(this.count)
    let at = this.count
    for (let batch: Batch = this; batch.message !== undefined; batch = batch.parent!) messages[--at] = batch.message
    return messages
  }

  /** All frames in one buffer. The last encoding asked for is kept: connections of one kind come one after another or alternate rarely. */
  encoded (encoding: Encoding): Buffer {
    if (this.#joined !== undefined && this.#joinedAs === encoding) return this.#joined
    const frames = this.messages().map((message) => message.encoded(encoding))
    this.#joinedAs = encoding
    return (this.#joined = frames.length === 1 ? frames[0]! : Buffer.concat(frames))
  }
}
