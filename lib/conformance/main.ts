import { HELP, readArguments, type ConformanceCommand } from './arguments.js'
import { CHECKS } from './checks/index.js'
import type { CheckResult } from './outcome.js'
import { runConformance } from './run.js'

/** Where the program writes its output and its errors. */
export interface Output { out: (text: string) => void, err: (text: string) => void }

const EXIT = { ok: 0, failed: 1, notRun: 2 } as const

/** Reads the arguments, runs the checks and prints the results. Returns the exit code. */
export async function main (args: readonly string[], output: Output): Promise<number> {
  const command = readArguments(args)
  if (command.kind === 'run') return await run(command, output)
  if (command.kind === 'help') output.out(HELP)
  if (command.kind === 'list') for (const { name, demands } of CHECKS) output.out(`${name}: ${demands}\n`)
  if (command.kind !== 'invalid') return EXIT.ok
  output.err(`${command.problem}\n\n${HELP}`)
  return EXIT.notRun
}

type RunCommand = Extract<ConformanceCommand, { kind: 'run' }>

async function run ({ options, only, isJson }: RunCommand, { out, err }: Output): Promise<number> {
  try {
    const onResult = isJson ? undefined : (result: CheckResult) => out(`${format(result)}\n`)
    const results = await runConformance(options, { only, onResult })
    const counts = count(results)
    if (isJson) out(`${JSON.stringify({ url: options.url, ...counts, results }, null, 2)}\n`)
    else out(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
    return counts.failed === 0 ? EXIT.ok : EXIT.failed
  } catch (unreachable) {
    err(`${(unreachable as Error).message}\n`)
    return EXIT.notRun
  }
}

function format (result: CheckResult): string {
  if (result.status === 'ok') return `ok ${result.name}`
  if (result.status === 'skip') return `skip ${result.name}: ${result.reason}`
  return `not ok ${result.name}: expected ${result.expected}; got ${result.got}`
}

function count (results: readonly CheckResult[]): { passed: number, failed: number, skipped: number } {
  const of = (status: CheckResult['status']) => results.filter((result) => result.status === status).length
  return { passed: of('ok'), failed: of('not ok'), skipped: of('skip') }
}
