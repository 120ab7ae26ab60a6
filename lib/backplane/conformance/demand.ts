import { isDeepStrictEqual } from 'node:util'

const SHOWN_CHARACTERS = 1_000

/** Throws an error with this sentence unless the demand is met. */
export function demand (isMet: boolean, sentence: string): asserts isMet {
  if (!isMet) throw new Error(sentence)
}

/** Throws an error that shows both values unless they are deeply equal. `what` is a noun, such as `the verdicts`. */
export function demandEqual (actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return
  throw new Error(`expected ${what} to be ${shorten(expected)}, but got ${shorten(actual)}`)
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

function shorten (value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}… (${text.length} characters)`
}
