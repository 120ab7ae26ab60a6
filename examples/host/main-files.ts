import { setTimeout as sleep } from 'node:timers/promises'
import type { Mission } from 'fastify-mission-control'
import { hasMainFile, listPackages } from './packages.js'
import { untilDone, type WorkOptions } from './work.js'

/** An installation that is in progress has a package.json before its other files. */
const RETRY_MS = 5_000

/** Checks that the main file of each package exists. Packages without one are checked again in a second attempt. */
export async function checkMainFiles (work: WorkOptions, signal: AbortSignal): Promise<void> {
  const objective = 'Check that the main file of each package exists'
  const init = { name: 'check main files', objective, tags: ['manifests'] }
  let missing: string[] = []
  const first = work.app.missions.spawn(init, async (mission) => {
    missing = await findMissing(mission, await listPackages(work.root), work)
    refuse(missing)
  })
  await untilDone(first, signal)
  if (missing.length === 0) return
  await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined)
  if (signal.aborted) return
  const second = first.retry()
  findMissing(second, missing, work).then(refuse).then(() => second.complete(), (err) => {
    if (second.signal.aborted) second.cancelled()
    else second.fail(err)
  })
  await untilDone(second, signal)
}

async function findMissing (
  mission: Mission, packages: string[], { app, root, paceMs }: WorkOptions
): Promise<string[]> {
  const missing: string[] = []
  mission.tasksGenerated(packages)
  mission.executionStarted()
  for (const one of packages) {
    const check = () => app.monitoring.time('manifests', 'main file', () => hasMainFile(root, one))
    if (!await mission.task(one, check)) missing.push(one)
    await sleep(paceMs, undefined, { signal: mission.signal })
  }
  return missing
}

function refuse (missing: string[]): void {
  if (missing.length === 0) return
  throw Object.assign(new Error(`no main file: ${missing.join(', ')}`), { code: 'main_file_missing' })
}
