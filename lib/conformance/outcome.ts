export type CheckOutcome =
  | { status: 'ok' }
  | { status: 'not ok', expected: string, got: string }
  | { status: 'skip', reason: string }

/** The outcome, the name of the check and its duration. */
export type CheckResult = CheckOutcome & { name: string, ms: number }

/** The server violates a requirement. */
export class Failure extends Error {
  readonly expected: string
  readonly got: string

  constructor (expected: string, got: string) {
    super(`expected ${expected}, but got ${got}`)
    this.expected = expected
    this.got = got
  }
}

/** The check does not apply to this server, or needs other settings. */
export class Skip extends Error {}

/** Throws a `Failure` unless `isMet`. `got` is what arrived: a string is shown as it is, anything else as JSON. */
export function expect (isMet: boolean, expected: string, got: unknown): void {
  if (!isMet) throw new Failure(expected, typeof got === 'string' ? got : show(got))
}

const SHOWN_CHARACTERS = 400

/** Formats a value as one line of readable length, without control characters that a terminal would obey. */
export function show (value: unknown): string {
  const text = (JSON.stringify(value) ?? 'nothing').replaceAll(/[\u007f-\u009f\u2028\u2029]/g, '?')
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}… (${text.length} characters)`
}
