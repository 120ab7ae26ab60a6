import { Queue } from '../../base/queue.js'

/**
 * Work in small steps: each step yields its cost. It receives whether the event loop has turned since, so that
 * anything may have changed.
 */
export type Steps = Generator<number, void, boolean>

/**
 * The cost of the steps of one turn of the event loop, in states of a channel that were read; about 5 ms. Counted
 * instead of measured, so that it does not depend on the load of the machine.
 */
export const TURN_COST = 20_000

/**
 * Carries out the work that one message of a client can cause with thousands of states, such as a snapshot. As long as
 * all of it fits into one turn of the event loop, it is done at once. The rest waits for the next turns, in the order
 * in which it began, so that no other client has to wait for it.
 */
export class TurnWork {
  readonly #waiting = new Queue<Steps>()
  #spent = 0
  #immediate: NodeJS.Immediate | undefined

  /** Carries out these steps, which must not throw. */
  run (steps: Steps): void {
    const isDone = this.#waiting.length === 0 && this.#advance(steps, false)
    if (!isDone) this.#waiting.push(steps)
    this.#wake()
  }

  #turn (): void {
    this.#immediate = undefined
    this.#spent = 0
    while (this.#waiting.length > 0 && this.#advance(this.#waiting.first!, true)) this.#waiting.shift()
    if (this.#spent > 0) this.#wake()
  }

  #wake (): void {
    this.#immediate ??= setImmediate(() => this.#turn())
  }

  // Returns whether all steps are done.
  #advance (steps: Steps, hasTurned: boolean): boolean {
    for (let turned = hasTurned; this.#spent < TURN_COST; turned = false) {
      const { done, value } = steps.next(turned)
      if (done === true) return true
      this.#spent += value
    }
    return false
  }
}
