import type { Picture } from '../picture/picture.js'

/** A value to append to the log, which the log keeps for processes that join later. */
export interface RetainedValue { readonly key: string, readonly value: string }

/** How many own values may be on their way to the log. */
const MAX_WRITTEN = 4

/** What one process at a time writes to the retained values of the log, and others take over. */
export class RetainedState {
  readonly #picture: Pick<Picture, 'retained'>
  /** The values that this process has read, and the newest ones that it has written, by key. */
  readonly #taken = new Map<string, string>()
  readonly #written = new Map<string, string[]>()

  constructor (picture: Pick<Picture, 'retained'>) {
    this.#picture = picture
  }

  /** The value to append. */
  keep (key: string, saved: unknown): RetainedValue {
    const value = JSON.stringify(saved)
    this.#written.set(key, [...this.#written.get(key) ?? [], value].slice(-MAX_WRITTEN))
    return { key, value }
  }

  /** Calls `restore` if another process has changed the value, with an empty list if it is broken. */
  take<Saved> (
    key: string, isValid: (value: unknown) => value is Saved[], restore: (saved: Saved[]) => void
  ): void {
    const retained = this.#picture.retained.get(key) ?? '[]'
    const before = this.#taken.get(key) ?? '[]'
    this.#taken.set(key, retained)
    // Until the last own value has come back, the log still has one before it.
    if (retained === before || this.#written.get(key)?.includes(retained) === true) return
    const saved = parseJson(retained)
    restore(isValid(saved) ? saved : [])
  }
}

/** `undefined` for a text that is not JSON. */
export function parseJson (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
