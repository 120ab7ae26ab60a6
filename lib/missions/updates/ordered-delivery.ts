/**
 * Delivers things one at a time in the order they were given. What is given during a delivery waits for its end, so that a listener
 * that causes the next thing does not make those after it hear the two in the wrong order.
 */
export class OrderedDelivery<T> {
  readonly #deliver: (thing: T) => void
  readonly #waiting: T[] = []
  #isDelivering = false

  constructor (deliver: (thing: T) => void) {
    this.#deliver = deliver
  }

  deliver (thing: T): void {
    this.#waiting.push(thing)
    if (this.#isDelivering) return
    this.#isDelivering = true
    try {
      for (const next of this.#waiting) this.#deliver(next)
    } finally {
      this.#waiting.length = 0
      this.#isDelivering = false
    }
  }
}
