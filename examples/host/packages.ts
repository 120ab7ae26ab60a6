import { lstat, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Packages that are audited together: an npm scope, or an alphabetical range of packages without a scope. */
export interface Scope { name: string, packages: string[] }

export interface PackageAudit {
  name: string
  files: number
  bytes: number
  /** The licence in package.json, or `null` without one. */
  licence: string | null
}

/** Maximum size of a group of packages without a scope, unless one letter has more packages. */
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

/** The names of all packages of a `node_modules` folder. */
export async function listPackages (root: string): Promise<string[]> {
  return (await listScopes(root)).flatMap(({ packages }) => packages).sort()
}

/** The paths of all files of a package. @throws the reason of `signal` when it aborts */
export async function listFiles (root: string, name: string, signal: AbortSignal): Promise<string[]> {
  const entries = await readdir(join(root, name), { withFileTypes: true, recursive: true })
  signal.throwIfAborted()
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

/** Whether the file exists that package.json names as `main`. Packages without `main` have other entry points. */
export async function hasMainFile (root: string, name: string): Promise<boolean> {
  const folder = join(root, name)
  const { main } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { main?: unknown }
  if (typeof main !== 'string' || main === '') return true
  const candidates = ['', '.js', '.json', '.node', '/index.js'].map((ending) => join(folder, `${main}${ending}`))
  const found = await Promise.all(candidates.map((path) => stat(path).then((entry) => entry.isFile(), () => false)))
  return found.includes(true)
}

/** Counts the files and bytes of a package and reads its licence. @throws the reason of `signal` when it aborts */
export async function auditPackage (root: string, name: string, signal: AbortSignal): Promise<PackageAudit> {
  const folder = join(root, name)
  const [{ files, bytes }, licence] = await Promise.all([measure(folder, signal), readLicence(folder)])
  return { name, files, bytes, licence }
}

async function listFolders (folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const folders = entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
  return folders.map(({ name }) => name).filter((name) => !name.startsWith('.')).sort()
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
  const total = { files: 0, bytes: 0 }
  for (const part of parts) {
    total.files += part.files
    total.bytes += part.bytes
  }
  return total
}

async function readLicence (folder: string): Promise<string | null> {
  const { license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { license?: unknown }
  // Old packages use an object: { "type": "MIT", "url": … }.
  const name = typeof license === 'object' && license !== null ? (license as { type?: unknown }).type : license
  return typeof name === 'string' && name !== '' ? name : null
}
