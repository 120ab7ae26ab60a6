import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

const root = resolve(fileURLToPath(import.meta.url), '../..')
// The architecture page shows parts of files that do not exist.
const PAGES = ['README.md', ...readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md') && name !== 'architecture.md').map((name) => `docs/${name}`)]

/** What the blocks use and do not show: an earlier block of the page has it, or it is code of the reader. */
const NAMES = `
declare const app: import('fastify').FastifyInstance
declare const Fastify: typeof import('fastify').fastify
declare const missionControl: typeof import('fastify-mission-control').missionControl
declare const connect: typeof import('fastify-mission-control/client').connect
declare const redisBackplane: typeof import('fastify-mission-control/redis').redisBackplane
declare const bearerToken: typeof import('fastify-mission-control').bearerToken
declare const client: import('fastify-mission-control/client').Client
declare const clock: import('fastify-mission-control').VirtualClock
declare const websocket: typeof import('@fastify/websocket').default
declare const on: typeof import('node:events').on
declare const once: typeof import('node:events').once
declare const key: string
declare const cert: string
declare const writeFile: typeof import('node:fs/promises').writeFile
declare const sleep: typeof import('node:timers/promises').setTimeout
declare const id: string
declare const files: string[]
declare const importFile: (file: string, signal: AbortSignal) => Promise<void>
declare const isValid: (...given: unknown[]) => boolean
declare const authenticate: (...given: unknown[]) => Promise<void>
declare const findUser: (of: unknown) => Promise<{ id: string, tenant: string } | null>
declare const identify: (request: import('fastify').FastifyRequest) => Promise<{ id: string, tenant: string, roles?: string[] } | null>
declare const readToken: (token: string) => Promise<{ id: string, tenant: string } | null>
declare const database: { query (text: string, options?: object): Promise<unknown> }
`

/** What the plugins of the reader add, for scripts. A TypeScript block declares it itself. */
const ADDED = `
import 'fastify'
declare module 'fastify' {
  interface FastifyRequest { session: { user: { id: string, tenant: string }, destroy (): Promise<void> } }
}
`

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
  module: ts.ModuleKind.NodeNext,
  types: ['node'],
  strict: true,
  skipLibCheck: true,
  noEmit: true,
  paths: {
    'fastify-mission-control': [join(root, 'lib/index.ts')],
    'fastify-mission-control/backplane': [join(root, 'lib/backplane/index.ts')],
    'fastify-mission-control/redis': [join(root, 'lib/backplane/redis/index.ts')],
    'fastify-mission-control/reporter': [join(root, 'lib/reporter.ts')],
    'fastify-mission-control/client': [join(root, 'lib/client/index.ts')],
    'fastify-mission-control/schemas': [join(root, 'schemas/index.ts')]
  }
}

interface Block { place: string, language: string, text: string }

function blocksOf (path: string): Block[] {
  const text = readFileSync(join(root, path), 'utf8')
  return [...text.matchAll(/^```(js|ts)\n([^]*?)^```$/gm)].map(({ 1: language, 2: block, index }) =>
    ({ place: `${path}:${text.slice(0, index).split('\n').length}`, language: language!, text: block! }))
}

/** Compiles blocks as TypeScript and returns the errors of each. A function in a script may leave its parameters untyped. */
function check (blocks: Block[], options: ts.CompilerOptions, added = ''): Map<string, string[]> {
  const names = join(root, 'test/blocks/names.d.ts')
  const files = new Map([[names, NAMES], [join(root, 'test/blocks/added.d.ts'), added], ...blocks.map(({ text }, at): [string, string] => [join(root, `test/blocks/${at}.mts`), text])])
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (path) => files.has(path) || fileExists(path)
  host.readFile = (path) => files.get(path) ?? readFile(path)
  host.directoryExists = (path) => path === dirname(names) || ts.sys.directoryExists(path)
  host.getSourceFile = (path, version, ...rest) => files.has(path) ? ts.createSourceFile(path, files.get(path)!, version) : getSourceFile(path, version, ...rest)
  const program = ts.createProgram([...files.keys()], options, host)
  return new Map(blocks.map(({ place, text }, at) => {
    const file = program.getSourceFile(join(root, `test/blocks/${at}.mts`))
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
    return [place, found.map(({ start, messageText }) => `${text.slice(0, start).split('\n').length}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)]
  }))
}

const all = PAGES.flatMap(blocksOf)
const scripts = all.filter(({ language }) => language === 'js')
const typed = all.filter(({ language }) => language === 'ts')

t.test('every script of the pages has the types of the plugin and its client', async (t) => {
  t.ok(scripts.length > 25)
  for (const [place, errors] of check(scripts, { ...OPTIONS, noImplicitAny: false }, ADDED)) t.strictSame(errors, [], place)
})

t.test('every TypeScript block of the pages compiles with the strict settings', async (t) => {
  t.ok(typed.length > 1, 'the handlers among them')
  for (const [place, errors] of check(typed, OPTIONS)) t.strictSame(errors, [], place)
})

t.test('a block that uses what does not exist, or that does not check an unknown value, is found', async (t) => {
  const block = (text: string): Block => ({ place: text, language: 'ts', text })
  const wrong = ['app.missions.begin("a")', 'app.missions.handle({ cancel: { authorize: (mission, { request }) => request.user } })', 'app.missions.start({ name: 1 })']
  for (const [place, errors] of check(wrong.map(block), OPTIONS)) t.equal(errors.length, 1, place)
})
