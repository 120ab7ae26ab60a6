import type { Encoding, Message } from '../wire/message.js'

/** What a socket is given in one write. */
export interface Writable {
  readonly count: number
  encoded (encoding: Encoding): Buffer
  messages (): Message[]
}

/**
 * The messages that some connections receive in one tick. Batches form a tree: each one adds a message to its parent,
 * so connections that receive the same messages in the same order hold the same batch. They share its joined buffer
 * too, whatever they are subscribed to.
 */
export class Batch implements Writable {
  readonly parent: Batch | undefined
  readonly message: Message | undefined
  readonly count: number
  readonly bytes: number
  /** How many connections it was written to since the meter has last looked at it. */
  writes = 0
  // Nearly always the only child: branches begin only where connections have different subscriptions.
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

  /** Returns the batch with one more message; the same one for the same message. */
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

  /**
   * All frames in one buffer. Only the last encoding is cached, because connections rarely alternate between
   * encodings.
   */
  encoded (encoding: Encoding): Buffer {
    if (this.#joined !== undefined && this.#joinedAs === encoding) return this.#joined
    const frames = this.messages().map((message) => message.encoded(encoding))
    this.#joinedAs = encoding
    return (this.#joined = frames.length === 1 ? frames[0]! : Buffer.concat(frames))
  }
}
