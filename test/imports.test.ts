import { readFileSync, readdirSync } from 'node:fs'
import { relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'
import { findBreaches, type SourceFile } from './support/import-rules.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const sources = ['lib', 'schemas'].flatMap((folder) => readdirSync(resolve(root, folder), { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => resolve(entry.parentPath, entry.name))

/** The breaches among made-up files; those that are only imported from are left empty. */
function breaches (texts: Record<string, string>): string[] {
  return findBreaches(Object.entries(texts).map(([path, text]): SourceFile => ({ path, text })))
}

t.test('every import of the package goes down the levels, and none goes in a circle', async (t) => {
  const files = sources.map((path) => ({ path: relative(root, path).split(sep).join('/'), text: readFileSync(path, 'utf8') }))
  t.strictSame(findBreaches(files), [])
})

// A file that no test loads is missing from the coverage report instead of counting as uncovered.
t.test('every source file loads', async (t) => {
  // One is a program, which runs when it is loaded.
  const { argv } = process
  const said: string[] = []
  const { write } = process.stdout
  process.argv = [argv[0]!, 'cli.js', '--help']
  process.stdout.write = ((text: string) => said.push(text) > 0) as typeof write
  await import('../lib/conformance/cli.js').finally(() => {
    process.stdout.write = write
    process.argv = argv
  })
  t.match(said.join(''), 'fastify-mission-control-conformance')
  t.equal(process.exitCode, 0)
  for (const path of sources) await t.resolves(import(pathToFileURL(path).href), relative(root, path))
})

t.test('what the level table allows is no breach', async (t) => {
  t.strictSame(breaches({
    'schemas/options.ts': "import { Type } from '@sinclair/typebox'",
    'lib/base/errors.ts': "import createError from '@fastify/error'",
    'lib/base/options.ts': "import { Ajv } from 'ajv'\nimport type { TSchema } from '@sinclair/typebox'\nimport './errors.js'\nimport '../../schemas/options.js'",
    'lib/missions/index.ts': "import { AsyncLocalStorage } from 'node:async_hooks'\nexport * from './mission.js'",
    'lib/missions/mission.ts': "import '../base/errors.js'",
    'lib/channels/mission-stats.ts': "import type { Missions } from '../missions/index.js'\nimport type { Hub } from '../hub/hub.js'",
    'lib/hub/hub.ts': "import type { WebSocket } from 'ws'",
    'lib/prometheus/registry.ts': "import { Registry } from 'prom-client'",
    'lib/routes/websocket/route.ts': "import websocket from '@fastify/websocket'\nimport type { FastifyInstance } from 'fastify'\nimport '../../hub/hub.js'",
    'lib/client/mission-map.ts': "import type { MissionUpdate } from '../../schemas/channels/mission-update.js'\nimport { missionChecksum } from '../../schemas/checksum.js'\nimport './errors.js'",
    'lib/client/errors.ts': '',
    'schemas/channels/mission-update.ts': '',
    'schemas/checksum.ts': '',
    'lib/plugin.ts': "import './routes/websocket/route.js'\nimport './missions/index.js'",
    'lib/index.ts': "import fp from 'fastify-plugin'\nimport { missionControl } from './plugin.js'"
  }), [])
})

t.test('a breach of the level table is named with its file, its import and its rule', async (t) => {
  const cases: Array<[string, Record<string, string>, string]> = [
    ['a room above', { 'lib/base/errors.ts': "import '../missions/index.js'", 'lib/missions/index.ts': '' },
      'lib/base/errors.ts imports ../missions/index.js, but base may not import missions'],
    ['the neighbour in the domain', { 'lib/missions/a.ts': "import type { B } from '../monitoring/b.js'", 'lib/monitoring/b.ts': '' },
      'lib/missions/a.ts imports ../monitoring/b.js, but missions may not import monitoring'],
    ['more than the types of a service', { 'lib/channels/a.ts': "import { Missions } from '../missions/index.js'", 'lib/missions/index.ts': '' },
      'lib/channels/a.ts imports ../missions/index.js, but channels may import only types of missions'],
    ['more than the types of a room beside it', { 'lib/hub/hub.ts': "export { a } from '../channels/a.js'", 'lib/channels/a.ts': '' },
      'lib/hub/hub.ts imports ../channels/a.js, but hub may import only types of channels'],
    ['a type in a list that still loads the module', { 'lib/hub/hub.ts': "import { type A } from '../channels/a.js'", 'lib/channels/a.ts': '' },
      'lib/hub/hub.ts imports ../channels/a.js, but hub may import only types of channels'],
    ['a service, loaded late', { 'lib/hub/hub.ts': "const a = await import('../missions/index.js')", 'lib/missions/index.ts': '' },
      'lib/hub/hub.ts imports ../missions/index.js, but hub may import only types of missions'],
    ['a service, named in a type', { 'lib/missions/a.ts': "let hub: import('../hub/hub.js').Hub", 'lib/hub/hub.ts': '' },
      'lib/missions/a.ts imports ../hub/hub.js, but missions may not import hub'],
    ['more than the types of the contract in a page', { 'lib/client/a.ts': "import { CLOSE_CODES } from '../../schemas/close-codes.js'", 'schemas/close-codes.ts': '' },
      'lib/client/a.ts imports ../../schemas/close-codes.js, but client may import only types of schemas'],
    ['the service in a page', { 'lib/client/a.ts': "import type { Clock } from '../base/clock.js'", 'lib/base/clock.ts': '' },
      'lib/client/a.ts imports ../base/clock.js, but client may not import base'],
    ['a package in a page', { 'lib/client/a.ts': "import type { WebSocket } from 'ws'" },
      'lib/client/a.ts imports ws, but client may not import that package'],
    ['Node.js in a page', { 'lib/client/a.ts': "import { performance } from 'node:perf_hooks'" },
      'lib/client/a.ts imports node:perf_hooks, but client may not import that package'],
    ['the client in the service', { 'lib/hub/a.ts': "import type { Client } from '../client/client.js'", 'lib/client/client.ts': '' },
      'lib/hub/a.ts imports ../client/client.js, but hub may not import client'],
    ['a package of another room', { 'lib/monitoring/a.ts': "import { Registry } from 'prom-client'" },
      'lib/monitoring/a.ts imports prom-client, but monitoring may not import that package'],
    ['more than the types of a package', { 'lib/hub/a.ts': "import { WebSocket } from 'ws'" },
      'lib/hub/a.ts imports ws, but hub may import only its types'],
    ['a package that is nowhere listed', { 'lib/plugin.ts': "import 'left-pad'" },
      'lib/plugin.ts imports left-pad, but root may not import that package'],
    ['the network from the domain', { 'lib/missions/a.ts': "import { request } from 'node:http'" },
      'lib/missions/a.ts imports node:http, but missions may not reach outside the process'],
    ['a module by require', { 'lib/missions/a.ts': "import a = require('fs')\nrequire('fs')" },
      'lib/missions/a.ts imports fs, but missions may not import that package'],
    ['what only the run can tell', { 'lib/missions/a.ts': 'await import(name)' },
      'lib/missions/a.ts imports (computed), but missions may not import that package'],
    ['a source by its .ts name', { 'lib/missions/a.ts': "import './b.ts'", 'lib/missions/b.ts': '' },
      'lib/missions/a.ts imports ./b.ts, but a relative import ends in .js'],
    ['a file outside the package', { 'lib/missions/a.ts': "import '../../test/app.js'" },
      'lib/missions/a.ts imports ../../test/app.js, which is no source file of the package']
  ]
  for (const [what, texts, breach] of cases) t.strictSame([...new Set(breaches(texts))], [breach], what)
})

t.test('a file in an unknown room is a breach, so that a new room first gets its level', async (t) => {
  t.strictSame(breaches({ 'lib/utils/a.ts': '' }), ['lib/utils/a.ts stands in no known room'])
  t.strictSame(breaches({ 'lib/helpers.ts': '' }), ['lib/helpers.ts stands in no known room'])
  t.strictSame(breaches({ 'lib/root/a.ts': '' }), ['lib/root/a.ts stands in no known room'])
  t.strictSame(breaches({ 'src/a.ts': '' }), ['src/a.ts stands in no known room'])
})

t.test('an import circle is shown from a file back to itself, also one of types alone', async (t) => {
  t.strictSame(breaches({
    'lib/missions/a.ts': "import './b.js'",
    'lib/missions/b.ts': "import type { C } from './c.js'",
    'lib/missions/c.ts': "import './b.js'"
  }), ['import circle: lib/missions/b.ts → lib/missions/c.ts → lib/missions/b.ts'])
  t.strictSame(breaches({ 'lib/base/clock.ts': "import './clock.js'" }), ['import circle: lib/base/clock.ts → lib/base/clock.ts'])
})
