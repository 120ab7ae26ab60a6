import { readdirSync, readFileSync } from 'node:fs'
import { relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SourceFile } from './import-rules.js'

export const root = resolve(fileURLToPath(import.meta.url), '../../..')

/** Every TypeScript file of the package. */
export function readSources (): SourceFile[] {
  return ['lib', 'schemas'].flatMap((folder) => readdirSync(resolve(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => resolve(entry.parentPath, entry.name))
    .map((path) => ({ path: relative(root, path).split(sep).join('/'), text: readFileSync(path, 'utf8') }))
}

/** Files that exist only in a test, by path and text. */
export function madeUpFiles (texts: Record<string, string>): SourceFile[] {
  return Object.entries(texts).map(([path, text]) => ({ path, text }))
}
