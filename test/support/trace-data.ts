import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Available } from './skip.js'

// The traces may be studied but not passed on, so the project holds none; whoever has them puts them beside it.
const folder = resolve(fileURLToPath(new URL('../..', import.meta.url)), '../shared/data')

/**
 * A recorded trace by its file name, or why the test that replays it has to be skipped.
 * `.ci/tally.mjs` lets a test be skipped for this reason alone, and only when nothing is at the path it names.
 */
export function traceFile (name: string): Available {
  const path = resolve(folder, name)
  return existsSync(path) ? { path } : { skip: `no recorded trace at ${path}` }
}
