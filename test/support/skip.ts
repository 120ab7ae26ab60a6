import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Something that a test needs from the machine: its path, or why the test is skipped. */
export type Available = { path: string } | { skip: string }

/**
 * Options for `t.test` that skip the test with a printed reason if its dependency is missing.
 *
 * @example
 * const promtool = findPromtool()
 * t.test('promtool accepts the exposition', onlyWith(promtool), async (t) => { … })
 */
export function onlyWith (...needs: Available[]): { skip?: string } {
  const missing = needs.find((need) => 'skip' in need)
  return missing === undefined ? {} : missing as { skip: string }
}

/** The path of a dependency that `onlyWith` has found. */
export function pathOf (need: Available): string {
  if ('skip' in need) throw new Error(`${need.skip}; guard the test with onlyWith()`)
  return need.path
}

export const findChromium = (): Available => findProgram('chromium', 'chromium-browser', 'google-chrome')
export const findPromtool = (): Available => findProgram('promtool')
export const findPrometheus = (): Available => findProgram('prometheus')
export const findRedisServer = (): Available => findProgram('redis-server')

/** The first program among `names` that is on the PATH. */
export function findProgram (...names: string[]): Available {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  const path = names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
  return path === undefined ? { skip: `${names.join(' or ')} is not installed` } : { path }
}

function isExecutable (path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
