import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Mission } from 'fastify-mission-control'
import { auditPackage, type PackageAudit, type Scope } from './packages.js'

/** A mission that audits one scope; `done` resolves with what was audited when it has ended, however it ended. */
export interface Audit { mission: Mission, done: Promise<PackageAudit[]> }

export interface AuditOptions {
  /** The `node_modules` folder. */
  root: string
  /** A break after every package, in ms, that leaves the disk to others. */
  paceMs: number
  /** What the whole audit may take; after that it is cancelled. */
  budgetMs: number
}

/** Starts the mission of one scope: a task for each package. It ends as `error` when a package has no licence. */
export function startAudit (app: FastifyInstance, scope: Scope, options: AuditOptions): Audit {
  const objective = `Audit the ${scope.packages.length} packages of ${scope.name}`
  const mission = app.missions.start({ name: scope.name, objective, tags: ['audit'] })
  return { mission, done: runAudit(app, mission, scope, options) }
}

async function runAudit (app: FastifyInstance, mission: Mission, { packages }: Scope, options: AuditOptions): Promise<PackageAudit[]> {
  const { root, paceMs, budgetMs } = options
  const timer = setTimeout(() => mission.cancel({ kind: 'timeout', reason: `the budget of ${budgetMs} ms is used up` }), budgetMs)
  const audits: PackageAudit[] = []
  try {
    mission.tasksGenerated({ total: packages.length })
    mission.planned({ packages, budgetMs })
    mission.executionStarted()
    for (const [position, name] of packages.entries()) {
      audits.push(await app.monitoring.time('audit', 'package', () => auditPackage(root, name, mission.signal)))
      mission.progress({ taskId: name, index: position + 1, total: packages.length, status: 'completed' })
      await sleep(paceMs, undefined, { signal: mission.signal })
    }
    conclude(mission, audits)
  } catch (err) {
    // Whoever asked for the end, a client, the budget or Ctrl-C: the work has stopped, and only now the mission ends.
    if (mission.signal.aborted) mission.report('cancelled')
    else mission.fail(err)
  } finally {
    clearTimeout(timer)
  }
  return audits
}

function conclude (mission: Mission, audits: PackageAudit[]): void {
  const unlicensed = audits.filter(({ licence }) => licence === null).map(({ name }) => name)
  if (unlicensed.length === 0) mission.complete()
  else mission.fail({ code: 'licence_missing', message: `no licence: ${unlicensed.join(', ')}` })
}
