import { cutCharacters } from './text.js'

/** Stands in for a value of the host that is too large for one message: its size and its beginning. */
export interface Truncated { truncated: true, bytes: number, preview: string }

/** Stands in for a value that cannot be read or written as JSON. */
export const UNSERIALIZABLE = Object.freeze({ unserializable: true })

/** Length of a preview in UTF-16 units. */
export const PREVIEW_CHARACTERS = 256
const MAX_DEPTH = 256

/**
 * A JSON copy of `value`, detached from the host's object. Never throws. A value that cannot be written as JSON (a
 * cycle, a BigInt, a getter or `toJSON` that throws) or is nested deeper than 256 levels becomes `{ unserializable:
 * true }`; a value larger than `maxBytes` becomes `Truncated`.
 */
export function copyJson (value: unknown, maxBytes: number): unknown {
  const text = stringify(value)
  if (text === undefined) return { ...UNSERIALIZABLE }
  const bytes = Buffer.byteLength(text)
  if (bytes <= maxBytes) return isTooDeep(text) ? { ...UNSERIALIZABLE } : JSON.parse(text)
  return { truncated: true, bytes, preview: cutCharacters(text, PREVIEW_CHARACTERS) } satisfies Truncated
}

function stringify (value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    // The reason is text of the host; watchers get the placeholder instead.
    return undefined
  }
}

/** A property of a host's object, or a placeholder if reading it throws; `undefined` for a property of nothing. */
export function readSafely (object: unknown, property: string): unknown {
  try {
    return (object as Record<string, unknown> | null | undefined)?.[property]
  } catch {
    return UNSERIALIZABLE
  }
}

/**
 * A copy of a host's list, so that it is read only once; a placeholder if reading throws. Returns other values as they
 * are.
 */
export function readList (value: unknown): unknown {
  try {
    return Array.isArray(value) ? value.slice() : value
  } catch {
    return UNSERIALIZABLE
  }
}

// JSON is usually read and written by recursion: a deeply nested value would overflow the stack of a watcher.
function isTooDeep (json: string): boolean {
  // Most plans are long and flat, and searching for brackets is much faster than walking the text.
  if (count(json, '[') + count(json, '{') <= MAX_DEPTH) return false
  let depth = 0
  let isText = false
  for (let i = 0; i < json.length && depth <= MAX_DEPTH; i++) {
    const character = json[i]
    if (isText && character === '\\') i++
    else if (character === '"') isText = !isText
    else if (isText) continue
    else if (character === '[' || character === '{') depth++
    else if (character === ']' || character === '}') depth--
  }
  return depth > MAX_DEPTH
}

function count (text: string, character: string): number {
  let found = 0
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) found++
  return found
}
