/** What became of one check. */
export type Outcome =
  | { status: 'ok' }
  | { status: 'not ok', expected: string, got: string }
  | { status: 'skip', reason: string }

/** The same with the name of the check and how long it took. */
export type CheckResult = Outcome & { name: string, ms: number }

/** The server does not do what is demanded. */
export class Failure extends Error {
  readonly expected: string
  readonly got: string

  constructor (expected: string, got: string) {
    super(`expected ${expected}, but got ${got}`)
    this.expected = expected
    this.got = got
  }
}

/** The check cannot be made on this server, or with these settings. */
export class Skip extends Error {}

/** Throws a `Failure` unless `isMet`; `got` is what came: a text as it is, anything else as JSON. */
export function expect (isMet: boolean, expected: string, got: unknown): void {
  if (!isMet) throw new Failure(expected, typeof got === 'string' ? got : show(got))
}

const SHOWN_CHARACTERS = 400

/** A value in one line, cut to a readable length; nothing in it acts on a terminal. */
export function show (value: unknown): string {
  const text = (JSON.stringify(value) ?? 'nothing').replaceAll(/[\u007f-\u009f\u2028\u2029]/g, '?')
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}… (${text.length} characters)`
}
