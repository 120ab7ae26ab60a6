import { isPromiseLike, onRejection } from './promises.js'

/** Removes a listener. Further calls do nothing. */
export type Unsubscribe = () => void

/**
 * Typed events whose listeners cannot affect each other or the emitter.
 *
 * Listeners run synchronously, in the order they were added. The error of one that throws or rejects is passed to
 * `onListenerError`, and the others still run.
 */
export class Events<Map extends Record<string, unknown[]>> {
  readonly #listeners = new globalThis.Map<keyof Map, Set<(...args: never[]) => unknown>>()
  readonly #onListenerError: (err: unknown, event: string) => void

  constructor (onListenerError: (err: unknown, event: string) => void) {
    this.#onListenerError = onListenerError
  }

  /** Calls `listener` for every `event` until the returned function is called. */
  on<Name extends keyof Map & string> (event: Name, listener: (...args: Map[Name]) => unknown): Unsubscribe {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    // One wrapper per call: a function that is added twice is called twice, and each of the two can be removed.
    const own = (...args: Map[Name]) => listener(...args)
    listeners.add(own as (...args: never[]) => unknown)
    return () => { listeners.delete(own as (...args: never[]) => unknown) }
  }

  emit<Name extends keyof Map & string> (event: Name, ...args: Map[Name]): void {
    const listeners = this.#listeners.get(event)
    if (listeners === undefined) return
    // As `callGuarded`, without its closures: every report runs through here.
    for (const listener of listeners) {
      try {
        const result = (listener as (...args: unknown[]) => unknown)(...args)
        if (isPromiseLike(result)) onRejection(result, (err) => this.#onListenerError(err, event))
      } catch (err) {
        this.#onListenerError(err, event)
      }
    }
  }

  /** The number of listeners of `event`. */
  count (event: keyof Map & string): number {
    return this.#listeners.get(event)?.size ?? 0
  }

  /** Removes all listeners. */
  clear (): void {
    this.#listeners.clear()
  }
}
