import { setTimeout as sleep } from 'node:timers/promises'
import type { Mission } from 'fastify-mission-control'
import { auditPackage, type PackageAudit, type Scope } from './packages.js'
import type { WorkOptions } from './work.js'

/** A mission that audits one scope, and its results so far. */
export interface Audit { mission: Mission, audits: readonly PackageAudit[] }

export interface AuditOptions extends WorkOptions {
  /** Time-out of the audit. */
  timeoutMs: number
}

/** Starts the mission of one scope, with one task per package. It fails if a package has no licence. */
export function startAudit (scope: Scope, { app, root, paceMs, timeoutMs }: AuditOptions): Audit {
  const { name, packages } = scope
  const audits: PackageAudit[] = []
  const objective = `Audit the ${packages.length} packages of ${name}`
  const mission = app.missions.spawn({ name, objective, tags: ['audit'], timeoutMs }, async (mission) => {
    mission.tasksGenerated(packages)
    mission.planned({ packages, timeoutMs })
    mission.executionStarted()
    for (const one of packages) {
      // A client, the time-out or Ctrl-C aborts both signals. The calls then throw, and the mission is cancelled.
      await mission.task(one, async (signal) => {
        audits.push(await app.monitoring.time('audit', 'package', () => auditPackage(root, one, signal)))
      })
      await sleep(paceMs, undefined, { signal: mission.signal })
    }
    refuseUnlicensed(audits)
  })
  return { mission, audits }
}

function refuseUnlicensed (audits: readonly PackageAudit[]): void {
  const names = audits.filter(({ licence }) => licence === null).map(({ name }) => name)
  if (names.length > 0) throw Object.assign(new Error(`no licence: ${names.join(', ')}`), { code: 'licence_missing' })
}
