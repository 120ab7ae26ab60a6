import { HELP, readArguments, type Asked } from './arguments.js'
import type { CheckResult } from './outcome.js'
import { CHECKS } from './checks/index.js'
import { runConformance } from './run.js'

/** Where the program writes. */
export interface Output { out: (text: string) => void, err: (text: string) => void }

const EXIT = { ok: 0, failed: 1, notRun: 2 } as const

/** The program: reads the arguments, runs the checks, prints the results, and gives the exit code. */
export async function main (args: readonly string[], output: Output): Promise<number> {
  const asked = readArguments(args)
  if (asked.kind === 'help') output.out(HELP)
  else if (asked.kind === 'list') for (const { name, demands } of CHECKS) output.out(`${name}: ${demands}\n`)
  else if (asked.kind === 'wrong') output.err(`${asked.problem}\n\n${HELP}`)
  else return await check(asked, output)
  return asked.kind === 'wrong' ? EXIT.notRun : EXIT.ok
}

async function check ({ settings, only, isJson }: Extract<Asked, { kind: 'run' }>, { out, err }: Output): Promise<number> {
  try {
    const results = await runConformance(settings, { only, ...(!isJson && { onResult: (result: CheckResult) => out(`${line(result)}\n`) }) })
    const counts = count(results)
    if (isJson) out(`${JSON.stringify({ url: settings.url, ...counts, results }, null, 2)}\n`)
    else out(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
    return counts.failed === 0 ? EXIT.ok : EXIT.failed
  } catch (unreachable) {
    err(`${(unreachable as Error).message}\n`)
    return EXIT.notRun
  }
}

function line (result: CheckResult): string {
  if (result.status === 'ok') return `ok ${result.name}`
  if (result.status === 'skip') return `skip ${result.name}: ${result.reason}`
  return `not ok ${result.name}: expected ${result.expected}; got ${result.got}`
}

function count (results: readonly CheckResult[]): { passed: number, failed: number, skipped: number } {
  const of = (status: CheckResult['status']) => results.filter((result) => result.status === status).length
  return { passed: of('ok'), failed: of('not ok'), skipped: of('skip') }
}
