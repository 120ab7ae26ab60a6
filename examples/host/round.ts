import { startAudit } from './audit.js'
import { listScopes, type PackageAudit } from './packages.js'
import { untilDone, type WorkOptions } from './work.js'

/** The totals of one round of audits. */
export interface Round {
  missions: number
  completed: number
  errors: number
  cancelled: number
  packages: number
  files: number
  bytes: number
  tookMs: number
}

export interface RoundOptions extends WorkOptions { signal: AbortSignal }

const MISSIONS_AT_ONCE = 3
const TIMEOUT_MS = 60_000

/** The time-out of the largest scope is shorter than its pauses alone, so every round has a mission that times out. */
const TIGHT_FROM_PACKAGES = 40
const TIGHT_MS_PER_PACKAGE = 0.25

/** Audits all scopes, a few at once. When `signal` aborts, it cancels running missions and starts no others. */
export async function runRound ({ app, root, paceMs, signal }: RoundOptions): Promise<Round> {
  const startedMs = performance.now()
  const scopes = await listScopes(root)
  const largest = scopes.reduce((most, { packages }) => Math.max(most, packages.length), TIGHT_FROM_PACKAGES)
  const endings: Ending[] = []
  await Promise.all(Array.from({ length: MISSIONS_AT_ONCE }, async () => {
    for (let scope = scopes.shift(); scope !== undefined && !signal.aborted; scope = scopes.shift()) {
      const tightMs = Math.ceil(largest * (paceMs / 2 + TIGHT_MS_PER_PACKAGE))
      const timeoutMs = scope.packages.length < largest ? TIMEOUT_MS : tightMs
      const { mission, audits } = startAudit(scope, { app, root, paceMs, timeoutMs })
      const { status } = await untilDone(mission, signal)
      endings.push({ status, audits })
    }
  }))
  return { ...summarize(endings), tookMs: performance.now() - startedMs }
}

/** How one audit ended, and the packages that it had audited by then. */
interface Ending { status: string, audits: readonly PackageAudit[] }

function summarize (endings: readonly Ending[]): Omit<Round, 'tookMs'> {
  const count = (status: string) => endings.filter((ending) => ending.status === status).length
  const audits = endings.flatMap((ending) => ending.audits)
  return {
    missions: endings.length,
    completed: count('completed'),
    errors: count('error'),
    cancelled: count('cancelled'),
    packages: audits.length,
    files: audits.reduce((sum, { files }) => sum + files, 0),
    bytes: audits.reduce((sum, { bytes }) => sum + bytes, 0)
  }
}
