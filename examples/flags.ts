import { parseArgs, type ParseArgsConfig } from 'node:util'

/** The input of the user is invalid. The message is for the user. */
export class InputError extends Error {}

/** The command line is invalid. */
export class UsageError extends InputError {}

/** Calls `util.parseArgs`. @throws UsageError for an invalid command line */
export function parseFlags<Config extends ParseArgsConfig> (config: Config): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config)
  } catch (err) {
    throw new UsageError((err as Error).message)
  }
}

/** Parses a number from `least` to `most`. @throws UsageError with `name` and `text` */
export function readNumber (name: string, text: string, least: number, most: number): number {
  const value = text.trim() === '' ? NaN : Number(text)
  if (value >= least && value <= most) return value
  throw new UsageError(`${name} is "${text}", but must be a number from ${least} to ${most}`)
}

/** Parses a whole number from `least` to `most`. @throws UsageError with `name` and `text` */
export function readWholeNumber (name: string, text: string, least: number, most: number): number {
  const value = readNumber(name, text, least, most)
  if (Number.isInteger(value)) return value
  throw new UsageError(`${name} is "${text}", but must be a whole number`)
}

/** Parses one of `words`. @throws UsageError with `name` and `text` */
export function readWord<Word extends string> (name: string, text: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text)
  if (found !== undefined) return found
  throw new UsageError(`${name} is "${text}", but must be one of ${words.join(', ')}`)
}

/**
 * Runs a program and sets the exit code: the result of `main`, 2 for an invalid command line or input, 1 for any other
 * error. It never calls `process.exit`, so that no output is lost.
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
 * A signal that aborts at the first Ctrl-C or SIGTERM, or when the reader of the output is gone (`| head`). A second
 * Ctrl-C ends the process.
 */
export function interruption (): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort(name))
  process.stdout.on('error', (err) => controller.abort(err))
  return controller.signal
}
