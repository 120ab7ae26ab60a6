import { isPromiseLike } from './promises.js'

/** Takes a listener off again; further calls do nothing. */
export type Unsubscribe = () => void

/**
 * Typed events whose listeners cannot hurt each other or the one who emits.
 *
 * Listeners run at once, in the order they were added. One that throws or returns a rejecting promise is reported to
 * `onListenerError` and the others still run.
 */
export class Events<Map extends Record<string, unknown[]>> {
  readonly #listeners = new globalThis.Map<keyof Map, Set<(...args: never[]) => unknown>>()
  readonly #onListenerError: (err: unknown, event: string) => void

  constructor (onListenerError: (err: unknown, event: string) => void) {
    this.#onListenerError = onListenerError
  }

  /** Calls `listener` at every `event` until the returned function is called. */
  on<Name extends keyof Map & string> (event: Name, listener: (...args: Map[Name]) => unknown): Unsubscribe {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    // A wrapper per call: the same function added twice is called twice and taken off one at a time.
    const own = (...args: Map[Name]) => listener(...args)
    listeners.add(own as (...args: never[]) => unknown)
    return () => { listeners.delete(own as (...args: never[]) => unknown) }
  }

  emit<Name extends keyof Map & string> (event: Name, ...args: Map[Name]): void {
    const listeners = this.#listeners.get(event)
    if (listeners === undefined) return
    for (const listener of listeners) {
      try {
        const result = (listener as (...args: unknown[]) => unknown)(...args)
        if (result !== undefined && isPromiseLike(result)) result.then(undefined, (err: unknown) => this.#onListenerError(err, event))
      } catch (err) {
        this.#onListenerError(err, event)
      }
    }
  }

  /** How many listeners `event` has. */
  count (event: keyof Map & string): number {
    return this.#listeners.get(event)?.size ?? 0
  }

  /** Takes all listeners off. */
  clear (): void {
    this.#listeners.clear()
  }
}
