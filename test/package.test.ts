import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import t, { type Test } from 'tap'
import { builtProject } from './support/built-project.js'
import { findProgram, onlyWith, pathOf } from './support/skip.js'
import { traceFile } from './support/trace-data.js'

interface Manifest {
  type: string
  license: string
  engines: Record<string, string>
  exports: Record<string, string | { types: string, default: string }>
  bin: Record<string, string>
  files: string[]
  scripts: Record<string, string>
  dependencies: Record<string, string>
  peerDependencies: Record<string, string>
  peerDependenciesMeta: Record<string, { optional: boolean }>
  typesVersions: Record<string, Record<string, string[]>>
}

const REDIS_CLIENTS = ['ioredis', 'iovalkey']

const root = resolve(fileURLToPath(import.meta.url), '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const manifest = JSON.parse(read('package.json')) as Manifest

/** Runs a script of `.ci` in `folder` and returns its output. */
function run (script: string, folder: string, args: string[] = [], input = ''): { status: number | null, said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, '.ci', script), ...args], { cwd: folder, input, encoding: 'utf8' })
  return { status, said: stdout + stderr }
}

/** The page is bundled with the packages that it imports, so a host installs none of them. */
const isBundled = (path: string): boolean => path.startsWith(join('lib', 'dashboard'))

t.test('the package', async (t) => {
  t.test('exports the plugin, the reporter, the backplanes, the client, the schemas and its manifest, all as ES modules with types', async (t) => {
    t.equal(manifest.type, 'module')
    t.strictSame(manifest.exports, {
      '.': { types: './dist/lib/index.d.ts', default: './dist/lib/index.js' },
      './backplane': { types: './dist/lib/backplane/index.d.ts', default: './dist/lib/backplane/index.js' },
      './redis': { types: './dist/lib/backplane/redis/index.d.ts', default: './dist/lib/backplane/redis/index.js' },
      './reporter': { types: './dist/lib/reporter.d.ts', default: './dist/lib/reporter.js' },
      './client': { types: './dist/lib/client/index.d.ts', default: './dist/lib/client/index.js' },
      './schemas': { types: './dist/schemas/index.d.ts', default: './dist/schemas/index.js' },
      './package.json': './package.json'
    })
    for (const target of Object.values(manifest.exports)) {
      const source = typeof target === 'string' ? target : target.default.replace(/^\.\/dist\/(.*)\.js$/, '$1.ts')
      t.ok(existsSync(join(root, source)), source)
    }
    const entries = Object.keys(manifest.exports).filter((name) => name !== '.' && !name.endsWith('.json')).map((name) => name.slice(2))
    t.strictSame(Object.keys(manifest.typesVersions['*']!).sort(), entries.sort(), 'node10 resolution finds the same')
  })

  t.test('has one program, which checks a server against the protocol', async (t) => {
    t.strictSame(manifest.bin, { 'fastify-mission-control-conformance': 'dist/lib/conformance/cli.js' })
    t.match(read('lib/conformance/cli.ts'), /^#!\/usr\/bin\/env node\n/)
  })

  t.test("runs on Node.js 20.19 and later with the host's own Fastify 5", async (t) => {
    t.strictSame(manifest.engines, { node: '>=20.19' })
    t.strictSame(Object.keys(manifest.peerDependencies), ['fastify', ...REDIS_CLIENTS])
    t.match(manifest.peerDependencies['fastify'], /^\^5\./)
    t.notOk('fastify' in manifest.dependencies)
  })

  t.test('needs a Redis client only for hosts that use Redis', async (t) => {
    t.strictSame(manifest.peerDependenciesMeta, Object.fromEntries(REDIS_CLIENTS.map((name) => [name, { optional: true }])))
    for (const name of REDIS_CLIENTS) t.notOk(name in manifest.dependencies, name)
  })

  t.test('runs no script on installation', async (t) => {
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) t.notOk(script in manifest.scripts, script)
  })

  t.test('contains the build, the sources and the documents, and nothing else', async (t) => {
    t.strictSame(manifest.files, ['dist/dashboard', 'dist/lib', 'dist/schemas', 'lib', 'schemas', 'docs', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'])
  })

  t.test('depends on exactly the packages that its sources import', async (t) => {
    const sources = ['lib', 'schemas'].flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !isBundled(join(folder, name))).flatMap((name) => read(join(folder, name)).split('\n')))
    const code = sources.filter((line) => !line.startsWith(' *')).join('\n')
    const imported = [...code.matchAll(/(?:\bfrom |\bimport\()'([^.#'][^']*)'/g)].map(([, name]) => name!).filter((name) => !name.startsWith('node:'))
    const { dependencies, peerDependencies } = manifest
    t.strictSame([...new Set(imported)].sort(), [...Object.keys(dependencies), ...Object.keys(peerDependencies)].sort())
  })

  t.test('is under the MIT licence', async (t) => {
    t.equal(manifest.license, 'MIT')
    t.match(read('LICENSE'), /^MIT License/)
  })
})

t.test('the emitted JSON Schema', async (t) => {
  const compile = (side: string) => new Ajv({ strictTypes: false }).compile(JSON.parse(read(`schemas/json/${side}-messages.json`)))

  t.test('accepts valid client messages and refuses others', async (t) => {
    const validate = compile('client')
    t.ok(validate({ type: 'subscribe', channels: ['metrics_tick'], id: '1' }))
    t.notOk(validate({ type: 'subscribe', channels: [] }))
    t.notOk(validate({ type: 'ping', extra: true }))
    t.notOk(validate({ type: 'shutdown' }))
  })

  t.test('distinguishes the messages of the server', async (t) => {
    const validate = compile('server')
    const envelope = { protocolVersion: 1, id: 'a', timestamp: '2025-01-02T03:04:05.678Z', unix: 1735787045678, server: { name: 's', version: '1' } }
    t.ok(validate({ ...envelope, type: 'heartbeat', intervalMs: 30_000 }))
    t.ok(validate({ ...envelope, type: 'protocol_error', error: { code: 'invalid_json', message: 'no' }, later: 'a field of a newer server' }))
    t.notOk(validate({ ...envelope, type: 'protocol_error', error: { code: 'invalid', message: 'no' } }))
    t.notOk(validate({ ...envelope, type: 'heartbeat', intervalMs: 30_000, unix: -1 }))
  })
})

t.test('generated files', async (t) => {
  t.test('are written once and then pass the check', async (t) => {
    const folder = builtProject(t)
    t.match(run('emit.mjs', folder), { status: 0, said: 'docs/options.md written' })
    t.same(run('emit.mjs', folder, ['--check']), { status: 0, said: '' })
    t.same(run('emit.mjs', folder), { status: 0, said: '' })

    const page = readFileSync(join(folder, 'docs/options.md'), 'utf8')
    t.match(page, '| `timers.beatMs` | `1_000` | a whole number from 1 to 5 | Time between beats. Environment: `BEAT_MS`. |')
    t.match(page, '| `path` | none | a string that matches `^(a\\|b)$`, at most 9 characters | Where. |', 'a pattern keeps to its cell')
    t.match(page, /^# Title\n\n<!-- options -->[^]*<!-- \/options -->\n\nAfter\.\n$/, 'the text around a table stays')
    t.match(readFileSync(join(folder, 'docs/protocol.md'), 'utf8'), '| 1001 | `closing` | later | Bye. |')
    t.match(readFileSync(join(folder, 'docs/conformance.md'), 'utf8'), '| `one-word` | A word \\| one. |')
    t.match(readFileSync(join(folder, 'docs/errors.md'), 'utf8'), '| `FST_MC_BAD` | 503 | Something is bad. | `%s is bad` |')

    const { oneOf, definitions } = JSON.parse(readFileSync(join(folder, 'schemas/json/client-messages.json'), 'utf8'))
    t.strictSame(oneOf, [{ $ref: '#/definitions/PingPongMessage' }])
    t.strictSame(definitions, {
      PingPongMessage: {
        title: 'PingPongMessage',
        type: 'object',
        properties: {
          side: { type: 'string', enum: ['left', 'right', 'net'] },
          score: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
          notes: { type: 'object', additionalProperties: { type: 'string' } },
          sets: { type: 'object', patternProperties: { '^(.*)$': {}, '^[0-9]+$': { type: 'integer' } } }
        }
      }
    })
    const json = (name: string) => JSON.parse(readFileSync(join(folder, 'schemas/json', name), 'utf8')) as Record<string, unknown>
    t.strictSame(json('asyncapi.json'), { asyncapi: '3.0.0', address: '/', server: { name: 'me', version: '1' } })
    t.match(json('openapi.json'), { openapi: '3.1.0', paths: { '/score': { get: { summary: 'The score' } } } })
    t.match(json('http.json'), {
      definitions: {
        MissionQuery: { title: 'MissionQuery' }, MissionView: { properties: { page: { $ref: '#/definitions/MissionQuery' } } }, ScoreResponse: { title: 'ScoreResponse' }
      }
    })
  })

  t.test('are each reported as outdated if a schema changed, and are not written by the check', async (t) => {
    const folder = builtProject(t)
    run('emit.mjs', folder)
    replaceIn(folder, 'dist/schemas/index.js', "const: 'net'", "const: 'table'")
    t.match(run('emit.mjs', folder, ['--check']), { status: 1, said: /^schemas\/json\/client-messages\.json has drifted from the sources \(first at line \d+\)[^\n]*\n$/ })
    replaceIn(folder, 'dist/schemas/index.js', 'default: 1000', 'default: 2000')
    t.match(run('emit.mjs', folder, ['--check']), { status: 1, said: 'docs/options.md has drifted' })
    replaceIn(folder, 'dist/lib/base/errors.d.ts', 'is bad', 'went bad')
    t.match(run('emit.mjs', folder, ['--check']), { status: 1, said: 'docs/errors.md has drifted' })
    t.notMatch(readFileSync(join(folder, 'docs/options.md'), 'utf8'), '2_000', 'a check writes nothing')
    run('emit.mjs', folder)
    t.same(run('emit.mjs', folder, ['--check']), { status: 0, said: '' })
  })

  t.test('are reported with the missing document or marker, which is not created', async (t) => {
    const folder = builtProject(t)
    rmSync(join(folder, 'docs/errors.md'))
    replaceIn(folder, 'docs/protocol.md', '<!-- /close-codes -->', '')
    for (const args of [[], ['--check']]) {
      const { status, said } = run('emit.mjs', folder, args)
      t.equal(status, 1)
      t.match(said, 'docs/errors.md is missing; it needs the tables error-codes')
      t.match(said, 'docs/protocol.md must contain <!-- close-codes --> and, after it, <!-- /close-codes -->, each exactly once')
    }
    t.notOk(existsSync(join(folder, 'docs/errors.md')))
  })

  t.test('need a description of every option and every error', async (t) => {
    const folder = builtProject(t)
    replaceIn(folder, 'dist/lib/base/errors.d.ts', '/** Something is bad. */', '')
    t.match(run('emit.mjs', folder), { status: 1, said: 'Bad has no description' })
  })
})

t.test('the count at the end of a CI run', async (t) => {
  const tally = (t: Test, lines: string[]) => {
    const folder = t.testdir()
    const result = run('tally.mjs', folder, ['counts'], ['TAP version 14', ...lines, ''].join('\n'))
    return { ...result, counts: readFileSync(join(folder, 'counts'), 'utf8').trim() }
  }
  const file = (...points: string[]) => ['# Subtest: test/a.test.ts', ...points.map((point) => `    ${point}`)]

  t.test('counts assertions, not the subtests around them', async (t) => {
    t.match(tally(t, [...file('# Subtest: inner', '    ok 1 - a', '    ok 2 - b', '    1..2', 'ok 1 - inner', 'ok 2 - c', '1..2'), 'ok 1 - test/a.test.ts', '1..1']),
      { status: 0, counts: '3 0' })
  })

  t.test('counts a failure once, although it fails every subtest around it', async (t) => {
    t.match(tally(t, [...file('# Subtest: inner', '    not ok 1 - a', '    1..1', 'not ok 1 - inner', '1..1'), 'not ok 1 - test/a.test.ts', '1..1']),
      { status: 1, counts: '0 1', said: 'FAILED: test/a.test.ts > inner > a' })
  })

  t.test('counts a file that fails after its last assertion', async (t) => {
    t.match(tally(t, [...file('ok 1 - a', '1..1'), 'not ok 1 - test/a.test.ts', '1..1']), { status: 1, counts: '1 1', said: 'FAILED: test/a.test.ts\n' })
  })

  t.test('reports a run that was aborted, and an empty run', async (t) => {
    t.match(tally(t, [...file('ok 1 - a', '1..1'), 'ok 1 - test/a.test.ts', '1..2']), { status: 1, counts: /^1 [12]$/ })
    t.match(tally(t, ['1..0']), { status: 1, counts: '0 1' })
  })

  t.test('counts a skipped test as a failure, unless its trace is missing', async (t) => {
    const skip = (reason: string) => tally(t, [...file('ok 1 - a', `ok 2 - b # SKIP ${reason}`, '1..2'), 'ok 1 - test/a.test.ts', '1..1'])
    t.match(skip('promtool is not installed'), { status: 1, counts: '1 1', said: 'skipped: test/a.test.ts > b: promtool is not installed' })
    t.match(skip(`no recorded trace at ${fileURLToPath(import.meta.url)}`), { status: 1, counts: '1 1' })
    t.match(skip(absentTrace()), { status: 0, counts: '1 0' })
    t.match(tally(t, [...file('ok 1 - a', 'ok 2 - b # TODO later', '1..2'), 'ok 1 - test/a.test.ts', '1..1']), { status: 1, counts: '1 1' })
  })
})

t.test('the lock file check', async (t) => {
  const good = {
    'node_modules/fastify': { version: '5.12.8', dev: true },
    'node_modules/@fastify/websocket': { version: '11.3.6' },
    'node_modules/ajv': { version: '8.18.0' },
    'node_modules/eslint/node_modules/ajv': { version: '6.14.0', dev: true },
    'node_modules/ws': { version: '8.23.0' }
  }
  const check = (packages: object) => run('floors.mjs', t.testdir({ 'package-lock.json': JSON.stringify({ packages: { '': { name: 'fastify', version: '0.1.0' }, ...packages } }) }))

  t.match(check(good), { status: 0 }, 'takes versions at and above their floors')
  t.match(check({ ...good, 'node_modules/b/node_modules/ws': { version: '8.9.0' } }), { status: 1, said: 'node_modules/b/node_modules/ws is 8.9.0, but must be at least 8.21.1' }, 'sees a second copy')
  t.match(check({ ...good, 'node_modules/ajv': { version: '8.18.0-beta.1' } }), { status: 1, said: 'at least 8.18.0' }, 'sees a version before its release')
  t.match(check({ ...good, 'node_modules/socket': { name: 'ws', version: '7.0.0' } }), { status: 1, said: 'node_modules/socket is 7.0.0' }, 'sees a copy under another name')
  t.match(check({ ...good, 'node_modules/b/node_modules/ajv': { version: '6.14.0' } }), { status: 1, said: 'at least 8.18.0' }, 'lets only development tools have the old line')
  t.match(check({ ...good, 'node_modules/ws': undefined }), { status: 1, said: 'ws is not in package-lock.json' }, 'misses a package it must know of')
  t.match(check({ ...good, 'node_modules/b': { version: '1.0.0', resolved: 'https://packages.example/b.tgz' } }), { status: 1, said: 'node_modules/b has a "resolved" address' }, 'refuses the address of a registry')
})

t.test('a test that needs something from the machine', async (t) => {
  t.test('runs with the path of the dependency if it is present', async (t) => {
    const node = findProgram('no-such-program', 'node')
    t.strictSame(onlyWith(node), {})
    t.ok(existsSync(pathOf(node)))
  })

  t.test('is skipped with a reason if it is missing', async (t) => {
    const missing = findProgram('no-such-program')
    t.strictSame(onlyWith(findProgram('node'), missing), { skip: 'no-such-program is not installed' })
    t.throws(() => pathOf(missing), { message: 'no-such-program is not installed; guard the test with onlyWith()' })
    t.match(onlyWith(traceFile('no-such-trace.csv')), { skip: /^no recorded trace at .*no-such-trace\.csv$/ })
  })
})

function absentTrace (): string {
  return onlyWith(traceFile('no-such-trace.csv')).skip!
}

function replaceIn (folder: string, path: string, before: string, after: string): void {
  const file = join(folder, path)
  writeFileSync(file, readFileSync(file, 'utf8').replace(before, after))
}
