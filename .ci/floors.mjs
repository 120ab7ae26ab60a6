// Reads package-lock.json and refuses versions with known vulnerabilities. It needs no audit service. It also refuses addresses
// of a registry, because they would tie every installation to that registry.
import { readFileSync } from 'node:fs'

/** Lowest version of every installed copy. */
const FLOORS = {
  '@fastify/static': '10.1.1',
  '@fastify/websocket': '11.3.6',
  ajv: '8.18.0',
  fastify: '5.12.2',
  ws: '8.21.1'
}
// ESLint needs Ajv 6, to which the fix of Ajv 8 was backported. It validates only the configuration of this project.
const DEVELOPMENT_FLOORS = { 'ajv 6': '6.14.0' }
const NEEDED = ['@fastify/websocket', 'ajv', 'fastify', 'ws']

const text = readFileSync('package-lock.json', 'utf8')
const { packages } = JSON.parse(text)
const problems = []
const seen = new Set()

for (const [path, { name, version, dev, resolved }] of Object.entries(packages)) {
  if (resolved !== undefined) problems.push(`${path} has a "resolved" address; install with omit-lockfile-registry-resolved=true`)
  const installed = name ?? path.split('node_modules/').at(-1)
  const older = dev ? DEVELOPMENT_FLOORS[`${installed} ${version?.split('.')[0]}`] : undefined
  const floor = older ?? FLOORS[installed]
  if (floor === undefined || path === '') continue
  seen.add(installed)
  console.log(`${path} ${version} (at least ${floor})`)
  if (isBelow(version, floor)) problems.push(`${path} is ${version}, but must be at least ${floor}`)
}
for (const name of NEEDED) if (!seen.has(name)) problems.push(`${name} is not in package-lock.json`)
for (const [host] of text.matchAll(/\bhttps?:\/\/[^/"\s]*(?:registry|npm|verdaccio|artifactory|nexus)[^/"\s]*/g)) problems.push(`package-lock.json names the host ${host}`)

for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1

function isBelow (version, floor) {
  const [release, prerelease] = version.split('-')
  const have = release.split('.').map(Number)
  const want = floor.split('.').map(Number)
  const at = have.findIndex((part, index) => part !== want[index])
  return at === -1 ? prerelease !== undefined : have[at] < want[at]
}
