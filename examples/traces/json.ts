import { TraceError } from './trace.js'

/** A JSON document with the first line of each of its objects. */
export interface JsonDocument {
  value: unknown
  /** The line of `value` if it is an object, otherwise the line of the object `around`. */
  lineOf (value: unknown, around?: unknown): number
}

/** Parses JSON. @throws TraceError with the first invalid line */
export function parseJson (text: string): JsonDocument {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new TraceError(findBrokenLine(text), 'not JSON from here on')
  }
  const lines = linesOfObjects(text, value)
  return { value, lineOf: (inner, around) => lines.get(inner) ?? lines.get(around) ?? 1 }
}

/**
 * The first line that makes the text invalid JSON. A JSON token never spans lines, so every prefix of whole lines is
 * either broken or unfinished, which allows a binary search.
 */
function findBrokenLine (text: string): number {
  const lines = text.split('\n')
  let unfinished = 0
  let broken = lines.length
  while (broken - unfinished > 1) {
    const middle = (unfinished + broken) >>> 1
    if (isUnfinished(lines.slice(0, middle).join('\n'))) unfinished = middle
    else broken = middle
  }
  return broken
}

function isUnfinished (text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch (err) {
    const { message } = err as Error
    return message === 'Unexpected end of JSON input' || Number(/position (\d+)/.exec(message)?.[1]) >= text.length
  }
}

// A depth-first walk visits the objects in the order of the text.
function linesOfObjects (text: string, value: unknown): Map<unknown, number> {
  const lines = startLines(text)
  const found = new Map<unknown, number>()
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    if (!Array.isArray(node)) found.set(node, lines[found.size] ?? 1)
    for (const child of Object.values(node)) walk(child)
  }
  walk(value)
  return found
}

function startLines (text: string): number[] {
  const lines: number[] = []
  let line = 1
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{\n]/g)) {
    if (token === '{') lines.push(line)
    else if (token === '\n') line++
  }
  return lines
}
