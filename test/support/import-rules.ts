import { posix } from 'node:path'
import ts from 'typescript'

/** One source file; `path` is relative to the repository, with forward slashes. */
export interface SourceFile { path: string, text: string }

interface Import { specifier: string, isType: boolean }

/**
 * What a room may import. `rooms` and `packages` may be imported as values and as types, the others as types only.
 * A package that ends in `*` stands for all that begin so.
 */
interface Room {
  rooms?: readonly string[]
  typeRooms?: readonly string[]
  /** Files of those rooms that may be imported as values all the same. */
  files?: readonly string[]
  packages?: readonly string[]
  typePackages?: readonly string[]
}

const DOMAIN = ['missions', 'monitoring'] as const
const DELIVERY = ['hub', 'channels', 'prometheus'] as const

/** Rooms from the contract up to the composition root; imports go down this list, never up. */
const ROOMS: Readonly<Record<string, Room>> = {
  schemas: { packages: ['@sinclair/typebox'] },
  base: { rooms: ['schemas'], packages: ['@fastify/error', 'ajv', 'node:*'], typePackages: ['@sinclair/typebox'] },
  contract: { rooms: ['schemas'], typePackages: ['@sinclair/typebox'] },
  missions: { rooms: ['schemas', 'base'], packages: ['node:*'] },
  monitoring: { rooms: ['schemas', 'base'], packages: ['node:*'] },
  hub: { rooms: ['schemas', 'base'], typeRooms: [...DOMAIN, ...DELIVERY], packages: ['node:*'], typePackages: ['ws'] },
  channels: { rooms: ['schemas', 'base'], typeRooms: [...DOMAIN, ...DELIVERY], packages: ['node:*'] },
  prometheus: { rooms: ['schemas', 'base'], typeRooms: [...DOMAIN, ...DELIVERY], packages: ['node:*', 'prom-client'] },
  routes: {
    rooms: ['schemas', 'base', 'contract', ...DOMAIN, ...DELIVERY],
    packages: ['@fastify/websocket', 'node:*'],
    typePackages: ['fastify', 'ws']
  },
  conformance: { rooms: ['schemas', 'base'], packages: ['node:*', 'ws'] },
  // What a page loads: neither packages nor Node.js, and of the contract only what is as small as it can be.
  client: { typeRooms: ['schemas'], files: ['schemas/checksum.ts'] },
  root: {
    rooms: ['schemas', 'base', ...DOMAIN, ...DELIVERY, 'routes'],
    packages: ['@fastify/websocket', 'fastify', 'fastify-plugin', 'node:*']
  }
}

/** Files directly in lib. */
const ROOT = ['index', 'plugin']

/** The domain computes; whatever opens a connection or starts a process belongs to the host or to the routes. */
const OUTSIDE_WORLD = /^node:(child_process|cluster|dgram|dns|http|http2|https|inspector|net|tls|worker_threads)(\/|$)/

/** Every breach of the level table and every import circle among `files`, each as a sentence; none is a list of none. */
export function findBreaches (files: readonly SourceFile[]): string[] {
  const imports = new Map(files.map((file) => [file.path, readImports(file)]))
  return [
    ...[...imports].flatMap(([path, list]) => checkFile(path, list, imports)),
    ...findCircles(imports).map((circle) => `import circle: ${circle.join(' → ')}`)
  ]
}

function checkFile (path: string, imports: readonly Import[], files: ReadonlyMap<string, unknown>): string[] {
  const name = roomOf(path)
  if (name === undefined) return [`${path} stands in no known room`]
  const reasons = imports.map((one) => isRelative(one) ? checkRelative(path, name, one, files) : checkPackage(name, one))
  return reasons.flatMap((reason, index) => reason === undefined ? [] : [`${path} ${reason.replace('%', imports[index]!.specifier)}`])
}

function checkRelative (path: string, from: string, one: Import, files: ReadonlyMap<string, unknown>): string | undefined {
  if (!one.specifier.endsWith('.js')) return 'imports %, but a relative import ends in .js'
  const target = resolveImport(path, one)
  if (!files.has(target)) return 'imports %, which is no source file of the package'
  const to = roomOf(target)
  if (to === undefined || to === from || ROOMS[from]!.rooms?.includes(to) || ROOMS[from]!.files?.includes(target)) return undefined
  if (!ROOMS[from]!.typeRooms?.includes(to)) return `imports %, but ${from} may not import ${to}`
  return one.isType ? undefined : `imports %, but ${from} may import only types of ${to}`
}

function checkPackage (from: string, one: Import): string | undefined {
  const room = ROOMS[from]!
  if (isListed(room.packages, one.specifier)) {
    return OUTSIDE_WORLD.test(one.specifier) && from !== 'routes' && from !== 'root'
      ? `imports %, but ${from} may not reach outside the process`
      : undefined
  }
  if (!isListed(room.typePackages, one.specifier)) return `imports %, but ${from} may not import that package`
  return one.isType ? undefined : `imports %, but ${from} may import only its types`
}

const isRelative = (one: Import): boolean => one.specifier.startsWith('.')

const isListed = (packages: readonly string[] | undefined, specifier: string): boolean =>
  packages?.some((name) => name.endsWith('*') ? specifier.startsWith(name.slice(0, -1)) : specifier === name) ?? false

const resolveImport = (path: string, one: Import): string =>
  posix.join(posix.dirname(path), one.specifier).replace(/\.js$/, '.ts')

function roomOf (path: string): string | undefined {
  const [top, second = '', ...rest] = path.split('/')
  if (top === 'schemas') return 'schemas'
  if (top !== 'lib') return undefined
  if (rest.length > 0) return second in ROOMS && !['schemas', 'root'].includes(second) ? second : undefined
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

// A computed specifier can lead anywhere, so it is shown as what no room may import.
function at (node: ts.Node | undefined, isType: boolean): Import | undefined {
  if (node === undefined) return undefined
  return { specifier: ts.isStringLiteralLike(node) ? node.text : '(computed)', isType }
}

/** One path through each circle, from a file back to itself. */
function findCircles (imports: ReadonlyMap<string, readonly Import[]>): string[][] {
  const circles: string[][] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path])
    else if (!done.has(path)) {
      for (const one of imports.get(path) ?? []) if (isRelative(one)) visit(resolveImport(path, one), [...trail, path])
      done.add(path)
    }
  }
  for (const path of imports.keys()) visit(path, [])
  return circles
}
