import type { FastifyInstance } from 'fastify'
import { startAudit, type AuditOptions } from './audit.js'
import { listScopes, type PackageAudit, type Scope } from './packages.js'

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

export interface RoundOptions {
  app: FastifyInstance
  /** The `node_modules` folder. */
  root: string
  /** Pause after every package in ms. */
  paceMs: number
  signal: AbortSignal
}

const MISSIONS_AT_ONCE = 3
const TIMEOUT_MS = 60_000

/** The time-out of the largest scope is shorter than its pauses alone, so every round has a mission that times out. */
const TIGHT_FROM_PACKAGES = 40
const TIGHT_MS_PER_PACKAGE = 0.25

/** Audits all scopes, a few at once. When `signal` aborts, it cancels running missions and starts no others. */
export async function runRound ({ app, root, paceMs, signal }: RoundOptions): Promise<Round> {
  const startedMs = performance.now()
  const before = app.missions.stats()
  const scopes = await listScopes(root)
  const largest = scopes.reduce((most, { packages }) => Math.max(most, packages.length), TIGHT_FROM_PACKAGES)
  const audits: PackageAudit[] = []
  await Promise.all(Array.from({ length: MISSIONS_AT_ONCE }, async () => {
    for (let scope = scopes.shift(); scope !== undefined && !signal.aborted; scope = scopes.shift()) {
      const tightMs = Math.ceil(largest * (paceMs / 2 + TIGHT_MS_PER_PACKAGE))
      const timeoutMs = scope.packages.length < largest ? TIMEOUT_MS : tightMs
      audits.push(...await auditUnlessAborted(app, scope, { root, paceMs, timeoutMs }, signal))
    }
  }))
  const after = app.missions.stats()
  return {
    missions: after.total - before.total,
    completed: after.completed - before.completed,
    errors: after.errors - before.errors,
    cancelled: after.cancelled - before.cancelled,
    packages: audits.length,
    files: audits.reduce((sum, { files }) => sum + files, 0),
    bytes: audits.reduce((sum, { bytes }) => sum + bytes, 0),
    tookMs: performance.now() - startedMs
  }
}

/** Audits one scope. Returns the audited packages, whatever the end of the mission. */
async function auditUnlessAborted (
  app: FastifyInstance, scope: Scope, options: AuditOptions, signal: AbortSignal
): Promise<readonly PackageAudit[]> {
  const { mission, audits } = startAudit(app, scope, options)
  const cancel = () => { mission.cancel({ reason: 'the service is closing' }) }
  signal.addEventListener('abort', cancel, { once: true })
  await mission.done
  signal.removeEventListener('abort', cancel)
  return audits
}
