import { TraceError } from './trace.js'

const LONGEST_SHOWN = 40

/** The fields of one record of a trace. All methods throw `TraceError` with the line for a missing or invalid field. */
export class Fields {
  readonly #record: Record<string, unknown>
  readonly line: number

  constructor (record: unknown, line: number) {
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      throw new TraceError(line, 'expected an object')
    }
    this.#record = record as Record<string, unknown>
    this.line = line
  }

  text (name: string): string {
    const value = this.#record[name]
    return typeof value === 'string' && value !== '' ? value : this.#refuse(name, 'text')
  }

  /** One of `words`. */
  word<Word extends string> (name: string, words: readonly Word[]): Word {
    const value = this.#record[name]
    return words.find((word) => word === value) ?? this.#refuse(name, `one of ${words.join(', ')}`)
  }

  /** A number from 0. Accepts text, because CSV fields are text. */
  amount (name: string): number {
    const value = this.#record[name]
    const number = typeof value === 'string' && value !== '' ? Number(value) : value
    const isAmount = typeof number === 'number' && number >= 0 && number < Infinity
    return isAmount ? number : this.#refuse(name, 'a number from 0')
  }

  /** A date in ms since 1970. */
  date (name: string): number {
    const at = Date.parse(this.text(name))
    return Number.isNaN(at) ? this.#refuse(name, 'a date') : at
  }

  list (name: string): unknown[] {
    const value = this.#record[name]
    return Array.isArray(value) ? value : this.#refuse(name, 'a list')
  }

  isEmpty (name: string): boolean {
    return this.#record[name] === ''
  }

  #refuse (name: string, expected: string): never {
    const shown = JSON.stringify(this.#record[name])?.slice(0, LONGEST_SHOWN) ?? 'missing'
    throw new TraceError(this.line, `${name} is ${shown}, but must be ${expected}`)
  }
}
