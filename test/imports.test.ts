import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { findImportBreaches } from './support/import-rules.js'
import { madeUpFiles, readSources, root, runsInNode } from './support/sources.js'

/** The breaches among made-up files; files that are only imported are left empty. */
const breaches = (texts: Record<string, string>): string[] => findImportBreaches(madeUpFiles(texts))

t.test('every import of the package leads to a lower level, and no imports form a circle', async (t) => {
  t.strictSame(findImportBreaches(readSources()), [])
})

// The coverage report leaves out a file that no test loads, instead of counting it as uncovered.
t.test('every source file loads', async (t) => {
  // The command line program runs as soon as it is loaded.
  const { argv } = process
  const printed: string[] = []
  const { write } = process.stdout
  process.argv = [argv[0]!, 'cli.js', '--help']
  process.stdout.write = ((text: string) => printed.push(text) > 0) as typeof write
  await import('../lib/conformance/cli.js').finally(() => {
    process.stdout.write = write
    process.argv = argv
  })
  t.match(printed.join(''), 'fastify-mission-control-conformance')
  t.equal(process.exitCode, 0)
  for (const { path } of readSources().filter(runsInNode)) await t.resolves(import(pathToFileURL(resolve(root, path)).href), path)
})

t.test('imports that the level table allows are not reported', async (t) => {
  t.strictSame(breaches({
    'schemas/options.ts': "import { Type } from '@sinclair/typebox'",
    'lib/base/errors.ts': "import { createError } from '@fastify/error'",
    'lib/base/options.ts': "import { Ajv } from 'ajv'\nimport type { TSchema } from '@sinclair/typebox'\nimport './errors.js'\nimport '../../schemas/options.js'",
    'lib/missions/index.ts': "import { AsyncLocalStorage } from 'node:async_hooks'\nexport * from './mission.js'",
    'lib/missions/mission.ts': "import '../base/errors.js'",
    'lib/missions/commands/commands.ts': "import '../../base/errors.js'\nimport '../mission.js'",
    'lib/monitoring/alerts/rules.ts': "import '../../../schemas/options.js'",
    'lib/channels/mission-stats.ts': "import type { Missions } from '../missions/index.js'\nimport type { Hub } from '../hub/hub.js'",
    'lib/hub/hub.ts': "import type { WebSocket } from 'ws'",
    'lib/prometheus/registry.ts': "import { Registry } from 'prom-client'",
    'lib/contract/asyncapi.ts': "import '../../schemas/options.js'",
    'lib/routes/asyncapi.ts': "import '../contract/asyncapi.js'",
    'lib/routes/websocket/route.ts': "import websocket from '@fastify/websocket'\nimport type { FastifyInstance } from 'fastify'\nimport '../../hub/hub.js'",
    'lib/client/missions/mission-map.ts': "import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'\nimport { missionChecksum } from '../../../schemas/checksum.js'\nimport '../errors.js'",
    'lib/client/errors.ts': '',
    'lib/conformance/peer.ts': "import { WebSocket } from 'ws'\nimport '../../schemas/options.js'",
    'schemas/channels/mission-update.ts': '',
    'schemas/checksum.ts': '',
    'lib/plugin.ts': "import './routes/websocket/route.js'\nimport './missions/index.js'",
    'lib/index.ts': "import fp from 'fastify-plugin'\nimport { registerMissionControl } from './plugin.js'"
  }), [])
})

t.test('a breach of the level table is reported with its file, its import and the rule', async (t) => {
  const cases: Array<[string, Record<string, string>, string]> = [
    ['a folder on a higher level', { 'lib/base/errors.ts': "import '../missions/index.js'", 'lib/missions/index.ts': '' },
      'lib/base/errors.ts imports ../missions/index.js, but base may not import missions'],
    ['the other folder of the domain', { 'lib/missions/a.ts': "import type { B } from '../monitoring/b.js'", 'lib/monitoring/b.ts': '' },
      'lib/missions/a.ts imports ../monitoring/b.js, but missions may not import monitoring'],
    ['a higher level from a subfolder', { 'lib/missions/queries/a.ts': "import { B } from '../../channels/b.js'", 'lib/channels/b.ts': '' },
      'lib/missions/queries/a.ts imports ../../channels/b.js, but missions may not import channels'],
    ['more than the types of a service', { 'lib/channels/a.ts': "import { Missions } from '../missions/index.js'", 'lib/missions/index.ts': '' },
      'lib/channels/a.ts imports ../missions/index.js, but channels may import only types of missions'],
    ['more than the types of the hub', { 'lib/channels/a.ts': "export { hub } from '../hub/hub.js'", 'lib/hub/hub.ts': '' },
      'lib/channels/a.ts imports ../hub/hub.js, but channels may import only types of hub'],
    ['an inline type import, which still loads the module', { 'lib/channels/a.ts': "import { type Hub } from '../hub/hub.js'", 'lib/hub/hub.ts': '' },
      'lib/channels/a.ts imports ../hub/hub.js, but channels may import only types of hub'],
    ['a dynamic import of a service', { 'lib/prometheus/a.ts': "const a = await import('../missions/index.js')", 'lib/missions/index.ts': '' },
      'lib/prometheus/a.ts imports ../missions/index.js, but prometheus may import only types of missions'],
    ['an import inside a type', { 'lib/missions/a.ts': "let hub: import('../hub/hub.js').Hub", 'lib/hub/hub.ts': '' },
      'lib/missions/a.ts imports ../hub/hub.js, but missions may not import hub'],
    ['the domain in the hub, even its types', { 'lib/hub/a.ts': "import type { Missions } from '../missions/index.js'", 'lib/missions/index.ts': '' },
      'lib/hub/a.ts imports ../missions/index.js, but hub may not import missions'],
    ['the other folder that reads the services', { 'lib/channels/a.ts': "import type { B } from '../prometheus/b.js'", 'lib/prometheus/b.ts': '' },
      'lib/channels/a.ts imports ../prometheus/b.js, but channels may not import prometheus'],
    ['more than the types of the schemas in the client', { 'lib/client/a.ts': "import { CLOSE_CODES } from '../../schemas/close-codes.js'", 'schemas/close-codes.ts': '' },
      'lib/client/a.ts imports ../../schemas/close-codes.js, but client may import only types of schemas'],
    ['the service in the client', { 'lib/client/a.ts': "import type { Clock } from '../base/clock.js'", 'lib/base/clock.ts': '' },
      'lib/client/a.ts imports ../base/clock.js, but client may not import base'],
    ['a package in the client', { 'lib/client/a.ts': "import type { WebSocket } from 'ws'" },
      'lib/client/a.ts imports ws, but client may not import that package'],
    ['Node.js in the client', { 'lib/client/a.ts': "import { performance } from 'node:perf_hooks'" },
      'lib/client/a.ts imports node:perf_hooks, but client may not import that package'],
    ['the client in the service', { 'lib/hub/a.ts': "import type { Client } from '../client/client.js'", 'lib/client/client.ts': '' },
      'lib/hub/a.ts imports ../client/client.js, but hub may not import client'],
    ['a package of another folder', { 'lib/monitoring/a.ts': "import { Registry } from 'prom-client'" },
      'lib/monitoring/a.ts imports prom-client, but monitoring may not import that package'],
    ['more than the types of a package', { 'lib/hub/a.ts': "import { WebSocket } from 'ws'" },
      'lib/hub/a.ts imports ws, but hub may import only its types'],
    ['a package that no folder may import', { 'lib/plugin.ts': "import 'left-pad'" },
      'lib/plugin.ts imports left-pad, but root may not import that package'],
    ['the network in the domain', { 'lib/missions/a.ts': "import { request } from 'node:http'" },
      'lib/missions/a.ts imports node:http, but missions may not reach outside the process'],
    ['a module loaded with require', { 'lib/missions/a.ts': "import a = require('fs')\nrequire('fs')" },
      'lib/missions/a.ts imports fs, but missions may not import that package'],
    ['a specifier that is computed at run time', { 'lib/missions/a.ts': 'await import(name)' },
      'lib/missions/a.ts imports (computed), but missions may not import that package'],
    ['a source file by its .ts name', { 'lib/missions/a.ts': "import './b.ts'", 'lib/missions/b.ts': '' },
      'lib/missions/a.ts imports ./b.ts, but a relative import ends in .js'],
    ['a file outside the package', { 'lib/missions/a.ts': "import '../../test/app.js'" },
      'lib/missions/a.ts imports ../../test/app.js, which is no source file of the package']
  ]
  for (const [title, texts, breach] of cases) t.strictSame([...new Set(breaches(texts))], [breach], title)
})

t.test('a file outside the folders of the level table is a breach, so a new folder needs a level first', async (t) => {
  for (const path of ['lib/utils/a.ts', 'lib/helpers.ts', 'lib/root/a.ts', 'src/a.ts']) {
    t.strictSame(breaches({ [path]: '' }), [`${path} is in no folder of the level table`])
  }
})

t.test('an import circle is reported as the path from a file back to itself, even if it consists of types', async (t) => {
  t.strictSame(breaches({
    'lib/missions/a.ts': "import './b.js'",
    'lib/missions/b.ts': "import type { C } from './c.js'",
    'lib/missions/c.ts': "import './b.js'"
  }), ['import circle: lib/missions/b.ts → lib/missions/c.ts → lib/missions/b.ts'])
  t.strictSame(breaches({ 'lib/base/clock.ts': "import './clock.js'" }), ['import circle: lib/base/clock.ts → lib/base/clock.ts'])
})

t.test('folders side by side that import each other are a circle, even if no files are', async (t) => {
  t.strictSame(breaches({
    'lib/hub/delivery/a.ts': "import '../history/a.js'",
    'lib/hub/delivery/b.ts': '',
    'lib/hub/history/a.ts': '',
    'lib/hub/history/b.ts': "import '../delivery/b.js'"
  }), ['import circle between folders: lib/hub/delivery → lib/hub/history → lib/hub/delivery'])
  t.strictSame(breaches({
    'lib/hub/hub.ts': "import './history/log.js'",
    'lib/hub/channel.ts': '',
    'lib/hub/history/log.ts': "import '../channel.js'"
  }), [], 'a folder and its subfolders are one unit')
})
