import { parseArgs, type ParseArgsConfig } from 'node:util'

/** What the user gave cannot be used; the message says why. */
export class InputError extends Error {}

/** The command line is wrong; the message says what to write instead. */
export class UsageError extends InputError {}

/** `util.parseArgs`, but everything that is wrong is a `UsageError`. */
export function parseFlags<Config extends ParseArgsConfig> (config: Config): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config)
  } catch (err) {
    throw new UsageError((err as Error).message)
  }
}

/** A number from `least` to `most`; `text` is what the user gave for `name`. */
export function readNumber (name: string, text: string, least: number, most: number): number {
  const value = text.trim() === '' ? NaN : Number(text)
  if (value >= least && value <= most) return value
  throw new UsageError(`${name} is "${text}", but must be a number from ${least} to ${most}`)
}

/** A whole number from `least` to `most`; `text` is what the user gave for `name`. */
export function readWholeNumber (name: string, text: string, least: number, most: number): number {
  const value = readNumber(name, text, least, most)
  if (Number.isInteger(value)) return value
  throw new UsageError(`${name} is "${text}", but must be a whole number`)
}

/** One of `words`; `text` is what the user gave for `name`. */
export function readWord<Word extends string> (name: string, text: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text)
  if (found !== undefined) return found
  throw new UsageError(`${name} is "${text}", but must be one of ${words.join(', ')}`)
}

/**
 * Runs a program and sets the exit code: what `main` returns, 2 for a wrong command line or input, 1 for everything else that is
 * thrown. The process ends by itself once nothing is left to do, so that no output is lost.
 */
export async function runProgram (usage: string, main: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main()
  } catch (err) {
    process.stderr.write(`${explain(err, usage)}\n`)
    process.exitCode = err instanceof InputError ? 2 : 1
  }
}

function explain (err: unknown, usage: string): string {
  if (err instanceof UsageError) return `${err.message}\n\n${usage}`
  return err instanceof Error ? (err instanceof InputError ? err.message : err.stack ?? err.message) : String(err)
}

/**
 * A signal that aborts at the first Ctrl-C or SIGTERM, or when nobody reads the output any more (`| head`). A second Ctrl-C ends the
 * process as if nobody listened.
 */
export function interruption (): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort(name))
  process.stdout.on('error', (err) => controller.abort(err))
  return controller.signal
}
