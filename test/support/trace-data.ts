import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Available } from './skip.js'

// The traces may be studied but not redistributed, so the project contains none. Put them next to the project to replay them.
const folder = resolve(fileURLToPath(new URL('../..', import.meta.url)), '../shared/data')

/**
 * A recorded trace by its file name, or why the test that replays it is skipped.
 * `.ci/tally.mjs` accepts a skipped test for this reason alone, and only if nothing exists at the path.
 */
export function traceFile (name: string): Available {
  const path = resolve(folder, name)
  return existsSync(path) ? { path } : { skip: `no recorded trace at ${path}` }
}
