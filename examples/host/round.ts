import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { startAudit } from './audit.js'
import { listScopes, type PackageAudit, type Scope } from './packages.js'

/** What one round of audits came to. */
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
  /** The least time between the starts of two missions, in ms, so that one can follow them. */
  paceMs: number
  signal: AbortSignal
}

const MISSIONS_AT_ONCE = 3

/** The largest scope gets a budget that no disk can keep, so that every round has a mission that times out. */
const TIGHT_FROM_PACKAGES = 40
const TIGHT_MS_PER_PACKAGE = 0.25

/** Audits every scope, a few at once. When `signal` aborts, running missions are cancelled and no others begin. */
export async function runRound ({ app, root, paceMs, signal }: RoundOptions): Promise<Round> {
  const startedMs = performance.now()
  const before = app.missions.stats()
  const audits: PackageAudit[] = []
  const scopes = await listScopes(root)
  const largest = scopes.reduce((found, { packages }) => Math.max(found, packages.length), TIGHT_FROM_PACKAGES)
  await Promise.all(Array.from({ length: MISSIONS_AT_ONCE }, async () => {
    for (let scope = scopes.shift(); scope !== undefined && !signal.aborted; scope = scopes.shift()) {
      audits.push(...await auditUnlessAborted(app, root, scope, budgetFor(scope, largest), signal))
      await sleep(paceMs * MISSIONS_AT_ONCE, undefined, { signal }).catch(() => undefined)
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

function budgetFor ({ packages }: Scope, largest: number): number | undefined {
  return packages.length < largest ? undefined : Math.ceil(packages.length * TIGHT_MS_PER_PACKAGE)
}

async function auditUnlessAborted (app: FastifyInstance, root: string, scope: Scope, budgetMs: number | undefined, signal: AbortSignal): Promise<PackageAudit[]> {
  const { mission, done } = startAudit(app, root, scope, budgetMs)
  const cancel = () => { mission.cancel({ kind: 'shutdown', reason: 'the service is closing' }) }
  signal.addEventListener('abort', cancel, { once: true })
  try {
    return await done
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}
