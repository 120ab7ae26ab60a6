import type { Check } from './check.js'
import { Failure, Skip, type CheckResult, type Outcome } from './outcome.js'
import { CHECKS } from './checks/index.js'
import { Context, type ConformanceSettings } from './context.js'

/** What to run, and whom to tell. */
export interface RunOptions {
  /** Names of checks; all if absent. */
  only?: readonly string[] | undefined
  /** Called after each check. */
  onResult?: ((result: CheckResult) => void) | undefined
}

/**
 * Runs the checks against a server, one after the other, and gives their results in order.
 *
 * @throws an Error that says why, with its `cause`, when the first connection fails
 */
export async function runConformance (settings: ConformanceSettings, { only, onResult }: RunOptions = {}): Promise<CheckResult[]> {
  const context = new Context(settings)
  await knock(context, settings.url)
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

async function knock (context: Context, url: string): Promise<void> {
  try {
    await context.open()
  } catch (cause) {
    // Of several addresses that were tried the error has a code, and no message.
    const { code, message } = cause as Error & { code?: string }
    throw new Error(`no connection to ${url}: ${code ?? message}`, { cause })
  } finally {
    context.closeAll()
  }
}

async function runOne ({ run }: Check, context: Context): Promise<Outcome> {
  try {
    await run(context)
    return { status: 'ok' }
  } catch (err) {
    if (err instanceof Skip) return { status: 'skip', reason: err.message }
    if (err instanceof Failure) return { status: 'not ok', expected: err.expected, got: err.got }
    // Another connection of the run was refused, for example.
    return { status: 'not ok', expected: 'a server that can be talked to', got: (err as Error).message }
  }
}
