import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Mission } from 'fastify-mission-control'
import { listFiles, listPackages } from './packages.js'
import type { WorkOptions } from './work.js'

const PARTS = 4

/** The content of the files that were read, and how many bytes are stored more than once. */
interface Contents { digests: Set<string>, files: number, copies: number, copiedBytes: number }

/** Starts a mission that finds files with equal content. Each part of the packages is a child. */
export function findCopies (work: WorkOptions): Mission {
  const objective = 'Find the files that are stored more than once'
  return work.app.missions.spawn({ name: 'find copies', objective, tags: ['files'] }, async (mission) => {
    const parts = divide(await listPackages(work.root))
    mission.tasksGenerated(parts.map(({ title }) => title))
    mission.planned({ parts: parts.map(({ title, packages }) => ({ title, packages: packages.length })) })
    mission.executionStarted()
    const contents: Contents = { digests: new Set(), files: 0, copies: 0, copiedBytes: 0 }
    await Promise.all(parts.map(({ title, packages }) => mission.task(title, async () => {
      await work.app.missions.run({ name: 'hash files', tags: ['files', title], parentId: mission.id },
        (child) => hashPackages(child, packages, contents, work))
    })))
    const { files, copies, copiedBytes } = contents
    mission.annotate({ files, copies, copiedMegabytes: Math.round(copiedBytes / 1e5) / 10 })
  })
}

async function hashPackages (
  mission: Mission, packages: string[], contents: Contents, { app, root, paceMs }: WorkOptions
): Promise<void> {
  const { signal } = mission
  mission.tasksGenerated(packages)
  mission.executionStarted()
  for (const one of packages) {
    await mission.task(one, () => app.monitoring.time('files', 'hash', async () => {
      for (const file of await listFiles(root, one, signal)) add(contents, await readFile(file, { signal }))
    }))
    await sleep(paceMs, undefined, { signal })
  }
}

function add (contents: Contents, file: Buffer): void {
  const digest = createHash('sha256').update(file).digest('base64')
  contents.files++
  if (contents.digests.has(digest)) {
    contents.copies++
    contents.copiedBytes += file.length
  }
  contents.digests.add(digest)
}

function divide (packages: string[]): Array<{ title: string, packages: string[] }> {
  const size = Math.max(1, Math.ceil(packages.length / PARTS))
  const starts = Array.from({ length: Math.ceil(packages.length / size) }, (_, at) => at * size)
  return starts.map((start, at) => ({ title: `part ${at + 1}`, packages: packages.slice(start, start + size) }))
}
