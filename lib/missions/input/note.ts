import { copyJson } from '../payload/json-copy.js'
import type { TextCuts } from '../types.js'
import { checkText } from './checks.js'

const MAX_TEXT_CHARACTERS = 1_024
const MAX_DATA_BYTES = 1_024

/**
 * The text and the data of a note as watchers see them; the data is a JSON copy, cut visibly.
 *
 * @throws FST_MC_INVALID_MISSION for a text that is not a string
 */
export function readNote (text: unknown, data: unknown, cuts: TextCuts): [text: string, data: unknown] {
  checkText(text, 'the text of a note')
  return [cuts.cut('note', text, MAX_TEXT_CHARACTERS), data === undefined ? undefined : copyJson(data, MAX_DATA_BYTES)]
}
