/** What an outbox writes to. */
export interface Sink {
  /** Bytes that were handed over and that the system has not taken yet. */
  readonly bufferedBytes: number
  /** `done` is called in a later turn, once the bytes have left this process or never will. */
  send (message: Buffer, done: () => void): void
}

export interface OutboxSetup {
  sink: Sink
  maxBytes: number
  /** Called for every message handed to the sink. */
  onSent: (bytes: number) => void
  /** Called for every message that was replaced by a newer one of the same key, or made pointless. */
  onReplaced: () => void
  /** Called once, when more than `maxBytes` wait. Nothing is queued or sent afterwards. */
  onOverflow: () => void
}

/** Above this many bytes on their way, messages wait here, where newer ones may still replace them. */
const HIGH_WATER_BYTES = 65_536

/**
 * The messages on their way to one connection. Two lanes: messages that must arrive leave in order; of replaceable ones
 * only the newest of a key waits, behind the others. As long as a client keeps up nothing waits.
 *
 * Promises: a message that must arrive is never dropped while the connection lives; what waits never exceeds `maxBytes`.
 */
export class Outbox {
  readonly #setup: OutboxSetup
  readonly #mustArrive: Buffer[] = []
  readonly #replaceable = new Map<string, Buffer>()
  #waitingBytes = 0
  #unsentBytes = 0
  #isClosed = false

  constructor (setup: OutboxSetup) {
    this.#setup = setup
  }

  /** Sends a message that must arrive, after all of its kind before it. */
  push (message: Buffer): void {
    if (this.#isClosed) return
    if (this.#isIdle) return this.#write(message)
    this.#mustArrive.push(message)
    this.#wait(message.length)
  }

  /** Sends a message that a newer one with the same key may replace as long as it waits. */
  replace (key: string, message: Buffer): void {
    if (this.#isClosed) return
    if (this.#isIdle) return this.#write(message)
    this.forget(key)
    this.#replaceable.set(key, message)
    this.#wait(message.length)
  }

  /** Drops what waits under a key, because a message that must arrive has made it pointless. */
  forget (key: string): void {
    const old = this.#replaceable.get(key)
    if (old === undefined) return
    this.#replaceable.delete(key)
    this.#waitingBytes -= old.length
    this.#setup.onReplaced()
  }

  /** Drops what waits under all keys that start like this, because nobody wants it any more. */
  forgetAll (prefix: string): void {
    for (const key of this.#replaceable.keys()) if (key.startsWith(prefix)) this.forget(key)
  }

  /** Hands over everything that waits, however slow the peer is; for the last moment before a goodbye. */
  flush (): void {
    for (let message = this.#next(); message !== undefined; message = this.#next()) {
      this.#waitingBytes -= message.length
      this.#write(message)
    }
  }

  /** Drops everything that waits and takes nothing more. */
  close (): void {
    this.#isClosed = true
    this.#mustArrive.length = 0
    this.#replaceable.clear()
    this.#waitingBytes = 0
  }

  get #isIdle (): boolean { return this.#waitingBytes === 0 && !this.#isCongested }

  // What the system took at once is not held against the peer, though `done` comes later: a burst of the host within one turn would
  // else make a slow consumer of everybody. Our own bytes count too, as only their `done` wakes up what waits.
  get #isCongested (): boolean {
    return this.#unsentBytes >= HIGH_WATER_BYTES && this.#setup.sink.bufferedBytes >= HIGH_WATER_BYTES
  }

  #wait (bytes: number): void {
    this.#waitingBytes += bytes
    if (this.#waitingBytes <= this.#setup.maxBytes) return
    this.close()
    this.#setup.onOverflow()
  }

  #write (message: Buffer): void {
    this.#unsentBytes += message.length
    this.#setup.onSent(message.length)
    this.#setup.sink.send(message, () => {
      this.#unsentBytes -= message.length
      this.#drain()
    })
  }

  #drain (): void {
    while (!this.#isCongested) {
      const message = this.#next()
      if (message === undefined) return
      this.#waitingBytes -= message.length
      this.#write(message)
    }
  }

  #next (): Buffer | undefined {
    const message = this.#mustArrive.shift()
    if (message !== undefined) return message
    const first = this.#replaceable.entries().next()
    if (first.done === true) return undefined
    this.#replaceable.delete(first.value[0])
    return first.value[1]
  }
}
