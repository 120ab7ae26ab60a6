import type { FastifyInstance } from 'fastify'
import type { Mission } from 'fastify-mission-control'
import { auditPackage, type PackageAudit, type Scope } from './packages.js'

/** A mission that audits one scope; `done` resolves with what was audited when it has ended, however it ended. */
export interface Audit { mission: Mission, done: Promise<PackageAudit[]> }

/**
 * Starts the mission of one scope: a task for each package. It ends as `error` when a package has no licence, and as `cancelled`
 * when it takes longer than `budgetMs`.
 */
export function startAudit (app: FastifyInstance, root: string, scope: Scope, budgetMs = 30_000): Audit {
  const mission = app.missions.start({ name: scope.name, objective: `Audit the ${scope.packages.length} packages of ${scope.name}`, tags: ['audit'] })
  return { mission, done: runAudit(app, root, scope, mission, budgetMs) }
}

async function runAudit (app: FastifyInstance, root: string, { packages }: Scope, mission: Mission, budgetMs: number): Promise<PackageAudit[]> {
  const timer = setTimeout(() => mission.cancel({ kind: 'timeout', reason: `the budget of ${budgetMs} ms is used up` }), budgetMs)
  const audits: PackageAudit[] = []
  try {
    mission.tasksGenerated({ total: packages.length })
    mission.planned({ packages, budgetMs })
    mission.executionStarted()
    for (const [position, name] of packages.entries()) {
      audits.push(await app.monitoring.time('audit', 'package', () => auditPackage(root, name, mission.signal)))
      mission.progress({ taskId: name, index: position + 1, total: packages.length, status: 'completed' })
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
