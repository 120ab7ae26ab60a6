import { cutVisibly } from '../payload/text.js'
import { CUT_FIELDS, type CutField, type TextCuts } from '../types.js'

/** The only implementation of `TextCuts`; one per registry. */
export class CutCounter implements TextCuts {
  readonly #counts = Object.fromEntries(CUT_FIELDS.map((field) => [field, 0])) as Record<CutField, number>

  cut (field: CutField, text: string, maxCharacters: number): string {
    if (text.length <= maxCharacters) return text
    this.count(field)
    return cutVisibly(text, maxCharacters)
  }

  count (field: CutField): void {
    this.#counts[field]++
  }

  /** How often each text was cut. */
  read (): Record<CutField, number> {
    return { ...this.#counts }
  }
}
