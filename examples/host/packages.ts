import { lstat, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Packages that are audited together: those of one npm scope, or a stretch of the alphabet of those without a scope. */
export interface Scope { name: string, packages: string[] }

export interface PackageAudit {
  name: string
  files: number
  bytes: number
  /** As its package.json says, or `null` if it says nothing. */
  licence: string | null
}

/** Packages without a scope that share a group, unless one letter alone has more. */
const GROUP_SIZE = 40

/** All scopes of a `node_modules` folder. */
export async function listScopes (root: string): Promise<Scope[]> {
  const names = await listFolders(root)
  const scoped = names.filter((name) => name.startsWith('@'))
  const scopes = await Promise.all(scoped.map(async (name) => {
    const members = await listFolders(join(root, name))
    return { name, packages: members.map((member) => `${name}/${member}`) }
  }))
  return [...scopes, ...groupByLetter(names.filter((name) => !name.startsWith('@')))]
}

/** Counts the files of a package and their bytes, and reads its licence. Stops with the signal's reason when `signal` aborts. */
export async function auditPackage (root: string, name: string, signal: AbortSignal): Promise<PackageAudit> {
  const folder = join(root, name)
  const [{ files, bytes }, licence] = await Promise.all([measure(folder, signal), readLicence(folder)])
  return { name, files, bytes, licence }
}

async function listFolders (folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  return entries.filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && !entry.name.startsWith('.')).map(({ name }) => name).sort()
}

function groupByLetter (names: string[]): Scope[] {
  const groups: string[][] = []
  for (const name of names) {
    const group = groups.at(-1)
    const isFull = group === undefined || (group.length >= GROUP_SIZE && group.at(-1)?.[0] !== name[0])
    if (isFull) groups.push([name])
    else group.push(name)
  }
  return groups.map((packages) => {
    const letters = [packages[0]![0], packages.at(-1)![0]]
    return { name: `packages ${[...new Set(letters)].join('-')}`, packages }
  })
}

async function measure (folder: string, signal: AbortSignal): Promise<{ files: number, bytes: number }> {
  signal.throwIfAborted()
  const entries = await readdir(folder, { withFileTypes: true })
  const parts = await Promise.all(entries.map(async (entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? await measure(path, signal) : { files: 1, bytes: (await lstat(path)).size }
  }))
  return parts.reduce((sum, part) => ({ files: sum.files + part.files, bytes: sum.bytes + part.bytes }), { files: 0, bytes: 0 })
}

async function readLicence (folder: string): Promise<string | null> {
  const { license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { license?: unknown }
  // Old packages have an object: { "type": "MIT", "url": … }.
  const name = typeof license === 'object' && license !== null ? (license as { type?: unknown }).type : license
  return typeof name === 'string' && name !== '' ? name : null
}
