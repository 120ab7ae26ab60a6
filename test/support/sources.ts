import { readdirSync, readFileSync } from 'node:fs'
import { relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SourceFile } from './import-rules.js'

export const root = resolve(fileURLToPath(import.meta.url), '../../..')

/** Every TypeScript file of the package. */
export function readSources (): SourceFile[] {
  return ['lib', 'schemas'].flatMap((folder) => readdirSync(resolve(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => resolve(entry.parentPath, entry.name))
    .map((path) => ({ path: relative(root, path).split(sep).join('/'), text: readFileSync(path, 'utf8') }))
}

/** Whether a file can be loaded by Node.js: neither a declaration nor a part of the page that needs a browser. */
export const runsInNode = ({ path }: SourceFile): boolean => !/\.d\.ts$|\.tsx$|^lib\/dashboard\/view\//.test(path)

/** Files that exist only in a test, by path and text. */
export function madeUpFiles (texts: Record<string, string>): SourceFile[] {
  return Object.entries(texts).map(([path, text]) => ({ path, text }))
}
