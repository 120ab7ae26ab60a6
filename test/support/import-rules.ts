import { posix } from 'node:path'
import ts from 'typescript'

/** One source file; `path` is relative to the repository, with forward slashes. */
export interface SourceFile { path: string, text: string }

interface Import { specifier: string, isType: boolean }

/**
 * What a folder may import: `folders` and `packages` as values and types, `typeFolders` and `typePackages` as types only.
 * A package name may end in `*`, which matches any rest.
 */
interface FolderRules {
  folders?: readonly string[]
  typeFolders?: readonly string[]
  /** Single files of other folders that may be imported as values. */
  files?: readonly string[]
  packages?: readonly string[]
  typePackages?: readonly string[]
}

const DOMAIN = ['missions', 'monitoring'] as const

/** The folders from the bottom level to the top; an import leads to a lower level or stays in its folder. */
const FOLDERS: Readonly<Record<string, FolderRules>> = {
  // Level 0: the shapes of everything on the wire and of the options.
  schemas: { packages: ['@sinclair/typebox'] },

  // Level 1: tools that know nothing of missions, and the documents that are generated from the schemas.
  base: { folders: ['schemas'], packages: ['@fastify/error', 'ajv', 'node:*'], typePackages: ['@sinclair/typebox'] },
  contract: { folders: ['schemas'], typePackages: ['@sinclair/typebox'] },

  // Level 1.5: the log that several processes share.
  backplane: { folders: ['schemas', 'base'], packages: ['node:*'] },

  // Level 2: the domain. Its two folders do not know each other, and neither knows Fastify or WebSockets.
  missions: { folders: ['schemas', 'base'], typeFolders: ['backplane'], packages: ['node:*'] },
  monitoring: { folders: ['schemas', 'base'], packages: ['node:*'] },

  // Level 2 too: who is asking, and what they may do.
  access: { folders: ['schemas', 'base'] },

  // Level 3: how one process takes part in that log.
  cluster: { folders: ['schemas', 'base', ...DOMAIN], typeFolders: ['backplane'] },

  // Level 3 too: connections and delivery of messages; the hub never looks into a payload.
  hub: { folders: ['schemas', 'base', 'access'], packages: ['node:*'], typePackages: ['ws'] },

  // Level 4: the payloads to send and to scrape. Services are passed in, so only their types are imported.
  channels: { folders: ['schemas', 'base'], typeFolders: [...DOMAIN, 'hub'], packages: ['node:*'] },
  prometheus: { folders: ['schemas', 'base'], typeFolders: [...DOMAIN, 'hub'], packages: ['node:*', 'prom-client'] },

  // Level 5: HTTP and WebSocket routes.
  routes: {
    folders: ['schemas', 'base', 'contract', 'access', ...DOMAIN, 'hub', 'channels', 'prometheus'],
    packages: ['@fastify/websocket', 'node:*', '#dashboard'],
    typePackages: ['fastify', 'ws']
  },

  // Level 6: the files directly in lib, which assemble the plugin.
  root: {
    folders: ['schemas', 'base', 'access', ...DOMAIN, 'cluster', 'hub', 'channels', 'prometheus', 'routes'],
    typeFolders: ['backplane'],
    packages: ['@fastify/websocket', 'fastify', 'fastify-plugin', 'node:*']
  },

  // Beside the levels: the other end of a connection. Browsers load the client, so it must not need packages or Node.js.
  client: { typeFolders: ['schemas'], files: ['schemas/checksum.ts'] },
  dashboard: {
    folders: ['client'], typeFolders: ['schemas'], packages: ['preact', 'preact/*', '@preact/signals', '@preact/signals-core', 'uplot']
  },
  conformance: { folders: ['schemas'], files: ['lib/base/validation.ts'], packages: ['node:*', 'ws'] }
}

/** Optional packages, loaded by this folder alone when the host has them. */
const REDIS_CLIENT = 'lib/backplane/redis/client/'
const REDIS_CLIENTS: readonly string[] = ['ioredis', 'iovalkey']

/** Files directly in lib. */
const ROOT = ['closing', 'core', 'index', 'mission-control', 'plugin', 'reporter', 'services']

/** Modules that open connections or start processes: for the routes only, everything else computes. */
const OUTSIDE_WORLD = /^node:(child_process|cluster|dgram|dns|http|http2|https|inspector|net|tls|worker_threads)(\/|$)/

/** Every breach of the level table and every import circle among `files`, each as a sentence; an empty list means there are none. */
export function findImportBreaches (files: readonly SourceFile[]): string[] {
  const imports = new Map(files.map((file) => [file.path, readImports(file)]))
  return [
    ...[...imports].flatMap(([path, list]) => checkFile(path, list, imports)),
    ...findCircles(filesBelow(imports)).map((circle) => `import circle: ${circle.join(' → ')}`),
    ...findCircles(foldersBelow(imports)).map((circle) => `import circle between folders: ${circle.join(' → ')}`)
  ]
}

function checkFile (path: string, imports: readonly Import[], files: ReadonlyMap<string, unknown>): string[] {
  const name = folderOf(path)
  if (name === undefined) return [`${path} is in no folder of the level table`]
  const reasons = imports.map((one) => isRelative(one) ? checkRelative(path, name, one, files) : checkPackage(path, name, one))
  return reasons.flatMap((reason, index) => reason === undefined ? [] : [`${path} ${reason.replace('%', imports[index]!.specifier)}`])
}

function checkRelative (path: string, from: string, one: Import, files: ReadonlyMap<string, unknown>): string | undefined {
  if (!one.specifier.endsWith('.js')) return 'imports %, but a relative import ends in .js'
  const target = resolveImport(path, one, files)
  if (!files.has(target)) return 'imports %, which is no source file of the package'
  const to = folderOf(target)
  if (to === undefined || to === from || FOLDERS[from]!.folders?.includes(to) || FOLDERS[from]!.files?.includes(target)) return undefined
  if (!FOLDERS[from]!.typeFolders?.includes(to)) return `imports %, but ${from} may not import ${to}`
  return one.isType ? undefined : `imports %, but ${from} may import only types of ${to}`
}

function checkPackage (path: string, from: string, one: Import): string | undefined {
  if (path.startsWith(REDIS_CLIENT) && REDIS_CLIENTS.includes(one.specifier)) return undefined
  const folder = FOLDERS[from]!
  if (isListed(folder.packages, one.specifier)) {
    return OUTSIDE_WORLD.test(one.specifier) && from !== 'routes' && from !== 'root'
      ? `imports %, but ${from} may not reach outside the process`
      : undefined
  }
  if (!isListed(folder.typePackages, one.specifier)) return `imports %, but ${from} may not import that package`
  return one.isType ? undefined : `imports %, but ${from} may import only its types`
}

const isRelative = (one: Import): boolean => one.specifier.startsWith('.')

const isListed = (packages: readonly string[] | undefined, specifier: string): boolean =>
  packages?.some((name) => name.endsWith('*') ? specifier.startsWith(name.slice(0, -1)) : specifier === name) ?? false

function resolveImport (path: string, one: Import, files: ReadonlyMap<string, unknown>): string {
  const target = posix.join(posix.dirname(path), one.specifier).replace(/\.js$/, '.ts')
  return files.has(`${target}x`) ? `${target}x` : target
}

function folderOf (path: string): string | undefined {
  const [top, second = '', ...rest] = path.split('/')
  if (top === 'schemas') return 'schemas'
  if (top !== 'lib') return undefined
  if (rest.length > 0) return second in FOLDERS && !['schemas', 'root'].includes(second) ? second : undefined
  return ROOT.includes(second.replace(/\.ts$/, '')) ? 'root' : undefined
}

/** Static and dynamic imports, re-exports and `import()` types, as the compiler reads them. */
function readImports ({ path, text }: SourceFile): Import[] {
  const imports: Import[] = []
  const visit = (node: ts.Node): void => {
    const found = readImport(node)
    if (found !== undefined) imports.push(found)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest))
  return imports
}

// `import { type X }` counts as a value import: the compiler settings keep it, and it loads the module.
function readImport (node: ts.Node): Import | undefined {
  if (ts.isImportDeclaration(node)) return at(node.moduleSpecifier, node.importClause?.isTypeOnly === true)
  if (ts.isExportDeclaration(node)) return at(node.moduleSpecifier, node.isTypeOnly)
  if (ts.isImportTypeNode(node)) return at(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, true)
  if (ts.isExternalModuleReference(node)) return at(node.expression, false)
  if (ts.isCallExpression(node) && isLoader(node.expression)) return at(node.arguments[0], false)
  return undefined
}

const isLoader = (callee: ts.Expression): boolean =>
  callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require')

// A computed specifier can be any module, so it is reported as a package that no folder may import.
function at (node: ts.Node | undefined, isType: boolean): Import | undefined {
  if (node === undefined) return undefined
  return { specifier: ts.isStringLiteralLike(node) ? node.text : '(computed)', isType }
}

type Graph = ReadonlyMap<string, readonly string[]>

function filesBelow (imports: ReadonlyMap<string, readonly Import[]>): Graph {
  return new Map([...imports].map(([path, list]) =>
    [path, list.filter(isRelative).map((one) => resolveImport(path, one, imports))]))
}

/** Imports between folders side by side. A folder and its subfolders are one unit, in which files import each other both ways. */
function foldersBelow (imports: ReadonlyMap<string, readonly Import[]>): Graph {
  const graph = new Map<string, string[]>()
  for (const [path, targets] of filesBelow(imports)) {
    const from = posix.dirname(path)
    const others = targets.map((target) => posix.dirname(target)).filter((to) => !isWithin(from, to) && !isWithin(to, from))
    graph.set(from, [...graph.get(from) ?? [], ...others])
  }
  return graph
}

const isWithin = (folder: string, other: string): boolean => `${folder}/`.startsWith(`${other}/`)

/** One path through each circle, from a node back to itself. */
function findCircles (graph: Graph): string[][] {
  const circles: string[][] = []
  const done = new Set<string>()
  const visit = (node: string, trail: readonly string[]): void => {
    if (trail.includes(node)) circles.push([...trail.slice(trail.indexOf(node)), node])
    else if (!done.has(node)) {
      for (const next of graph.get(node) ?? []) visit(next, [...trail, node])
      done.add(node)
    }
  }
  for (const node of graph.keys()) visit(node, [])
  return circles
}
