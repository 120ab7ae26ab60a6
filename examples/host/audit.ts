import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Mission } from 'fastify-mission-control'
import { auditPackage, type PackageAudit, type Scope } from './packages.js'

/** A mission that audits one scope, and what it has audited so far. */
export interface Audit { mission: Mission, audits: readonly PackageAudit[] }

export interface AuditOptions {
  /** The `node_modules` folder. */
  root: string
  /** A break after every package, in ms, that leaves the disk to others. */
  paceMs: number
  /** What the whole audit may take; after that it is cancelled. */
  timeoutMs: number
}

/** Starts the mission of one scope: a task for each package. It ends as `error` when a package has no licence. */
export function startAudit (app: FastifyInstance, { name, packages }: Scope, { root, paceMs, timeoutMs }: AuditOptions): Audit {
  const audits: PackageAudit[] = []
  const objective = `Audit the ${packages.length} packages of ${name}`
  const mission = app.missions.spawn({ name, objective, tags: ['audit'], timeoutMs }, async (mission) => {
    mission.tasksGenerated(packages)
    mission.planned({ packages, timeoutMs })
    mission.executionStarted()
    for (const one of packages) {
      // Both stop when the mission is asked to end, by a client, its time-out or Ctrl-C; it is cancelled then because they throw.
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
