import { fnv1a } from '../../../schemas/checksum.js'
import { cutCharacters } from '../payload/text.js'
import type { TextCuts } from '../types.js'

const MAX_TASK_ID_CHARACTERS = 256

/**
 * The id of a task as watchers see it. A longer one ends in a hash of the whole, so that two long ids with the same
 * beginning stay two tasks.
 */
export function taskIdOf (id: unknown, cuts: TextCuts): string {
  const text = typeof id === 'number' || typeof id === 'bigint' ? String(id) : id
  if (typeof text !== 'string' || text === '') return 'unnamed'
  if (text.length <= MAX_TASK_ID_CHARACTERS) return text
  cuts.count('task_id')
  const end = `#${fnv1a(text).toString(16).padStart(8, '0')}…`
  return cutCharacters(text, MAX_TASK_ID_CHARACTERS - end.length) + end
}
