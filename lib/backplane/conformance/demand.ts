import { isDeepStrictEqual } from 'node:util'

const SHOWN_CHARACTERS = 500

/** Throws an error with this sentence unless the demand is met. */
export function demand (isMet: boolean, sentence: string): asserts isMet {
  if (!isMet) throw new Error(sentence)
}

/**
 * Throws an error that shows both values, or the first parts that differ, unless they are deeply equal. `what` is a
 * noun, such as `the verdicts`.
 */
export function demandEqual (actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return
  const { path, found, wanted } = findDifference(actual, expected)
  throw new Error(`expected ${what}${path} to be ${shorten(wanted)}, but got ${shorten(found)}`)
}

/**
 * The result of a promise, which must settle in time.
 *
 * @throws an error with the name of the call if it does not, and what it rejects with
 */
export async function within<T> (timeoutMs: number, what: string, promise: PromiseLike<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not settle within ${timeoutMs} ms`)), timeoutMs)
  })
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

interface Difference { readonly path: string, readonly found: unknown, readonly wanted: unknown }

/** The innermost values that differ, and the path to them. Short values are shown as a whole. */
function findDifference (found: unknown, wanted: unknown, path = ''): Difference {
  const isShort = toText(found).length + toText(wanted).length <= SHOWN_CHARACTERS
  if (isShort || !isComposite(found) || !isComposite(wanted)) return { path, found, wanted }
  const key = Object.keys({ ...wanted, ...found }).find((one) => !isDeepStrictEqual(found[one], wanted[one]))!
  return findDifference(found[key], wanted[key], `${path}[${key}]`)
}

const isComposite = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

const toText = (value: unknown): string => JSON.stringify(value) ?? 'undefined'

function shorten (value: unknown): string {
  const text = toText(value)
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}… (${text.length} characters)`
}
