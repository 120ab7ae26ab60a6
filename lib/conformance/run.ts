import type { Check } from './check.js'
import { CHECKS } from './checks/index.js'
import { CheckContext, type ConformanceOptions } from './context.js'
import { Failure, Skip, type CheckOutcome, type CheckResult } from './outcome.js'

export interface RunOptions {
  /** Names of the checks to run; all by default. */
  only?: readonly string[] | undefined
  /** Called after each check. */
  onResult?: ((result: CheckResult) => void) | undefined
}

/**
 * Runs the checks against a server, one after the other, and returns their results in order.
 *
 * @throws Error with the reason, and its `cause`, when the first connection fails
 */
export async function runConformance (
  options: ConformanceOptions, { only, onResult }: RunOptions = {}
): Promise<CheckResult[]> {
  const context = new CheckContext(options)
  await probe(context, options.url)
  const results: CheckResult[] = []
  for (const check of CHECKS) {
    if (only !== undefined && !only.includes(check.name)) continue
    const startedAt = performance.now()
    const outcome = await runOne(check, context)
    context.closeAll()
    const result = { name: check.name, ms: Math.round(performance.now() - startedAt), ...outcome }
    results.push(result)
    onResult?.(result)
  }
  return results
}

/** Opens and closes a connection, so that an unreachable server does not fail every check. */
async function probe (context: CheckContext, url: string): Promise<void> {
  try {
    await context.open()
  } catch (cause) {
    // If several addresses were tried, the error has a code and no message.
    const { code, message } = cause as Error & { code?: string }
    throw new Error(`no connection to ${url}: ${code ?? message}`, { cause })
  } finally {
    context.closeAll()
  }
}

async function runOne ({ run }: Check, context: CheckContext): Promise<CheckOutcome> {
  try {
    await run(context)
    return { status: 'ok' }
  } catch (err) {
    if (err instanceof Skip) return { status: 'skip', reason: err.message }
    if (err instanceof Failure) return { status: 'not ok', expected: err.expected, got: err.got }
    // For example, the server refused another connection.
    return { status: 'not ok', expected: 'a usable connection to the server', got: (err as Error).message }
  }
}
