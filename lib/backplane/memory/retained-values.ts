import type { PublicationStep } from '../contract.js'

const MAX_KEYS = 64
const MAX_KEY_CHARACTERS = 64
const MAX_VALUE_CHARACTERS = 65_536

/** Values for processes that join later. Of too many keys, the one that was set longest ago is dropped. */
export class RetainedValues {
  readonly #values = new Map<string, string>()

  /** Keeps a value. Returns `false` if it is too long to be kept. */
  set ({ key, value }: NonNullable<PublicationStep['retain']>): boolean {
    if (key.length > MAX_KEY_CHARACTERS || value.length > MAX_VALUE_CHARACTERS) return false
    this.#values.delete(key)
    this.#values.set(key, value)
    if (this.#values.size > MAX_KEYS) this.#values.delete(this.#values.keys().next().value!)
    return true
  }

  read (): Array<[key: string, value: string]> {
    return [...this.#values]
  }
}
