import { systemClock, type Clock } from '../../base/clock.js'
import type { Backplane } from '../contract.js'
import { BACKPLANE_CHECKS, createTrimCheck } from './checks/index.js'
import type { StandCheck } from './check.js'
import { demandEqual } from './demand.js'
import { Stand } from './stand.js'

export interface BackplaneConformanceOptions {
  /** Creates a backplane whose log is empty and used by nobody else. Called for each check. */
  createBackplane: () => Backplane | Promise<Backplane>
  /** Called with each backplane after its check. */
  removeBackplane?: (backplane: Backplane) => void | Promise<void>
  /** The clock that the backplane is connected with. Default: that of the process. */
  clock?: Clock
  /** Lets so many ms pass on the clock of the backplane. Default: waits so long. */
  advance?: (ms: number) => void | Promise<void>
  /** How many batches are kept at most, 200 or more. Default: that is not checked. */
  trimmedAfter?: number
  /** How long one call may take, in ms. Default: 10,000. */
  timeoutMs?: number
}

/** One promise of the contract, as a test. */
export interface BackplaneCheck {
  /** The promise as a sentence. */
  readonly title: string
  /** Rejects with an error that says what is wrong. */
  run (): Promise<void>
}

/**
 * The tests of a backplane, for any test runner:
 *
 * ```js
 * for (const { title, run } of backplaneConformance({ createBackplane })) test(title, run)
 * ```
 *
 * Several take a few times `leaseMs`: a backplane that measures leases in real time should get a short lease, but one
 * that is long enough for a busy machine, such as 1,000 ms.
 */
export function backplaneConformance (options: BackplaneConformanceOptions): readonly BackplaneCheck[] {
  const { trimmedAfter } = options
  const checks = trimmedAfter === undefined ? BACKPLANE_CHECKS : [...BACKPLANE_CHECKS, createTrimCheck(trimmedAfter)]
  return checks.map(({ title, run }) => ({ title, run: async () => await runCheck(run, options) }))
}

async function runCheck (run: StandCheck['run'], options: BackplaneConformanceOptions): Promise<void> {
  const { createBackplane, removeBackplane, clock = systemClock, advance = sleep, timeoutMs = 10_000 } = options
  const backplane = await createBackplane()
  const stand = new Stand({ backplane, clock, advance, timeoutMs })
  const results = await Promise.allSettled([run(stand)])
  // What the check itself has found comes first.
  results.push(...await Promise.allSettled([stand.close()]))
  await removeBackplane?.(backplane)
  for (const result of results) if (result.status === 'rejected') throw result.reason
  demandEqual(stand.warnings.map(String), [], 'the warnings')
}

// A backplane with a server of its own, such as Redis, follows no clock but the real one.
const sleep = async (ms: number): Promise<void> => await new Promise((resolve) => setTimeout(resolve, ms))
