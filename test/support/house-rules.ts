import { posix } from 'node:path'
import ts from 'typescript'
import type { SourceFile } from './import-rules.js'

/** The limits of `eslint.config.mjs` and those that no lint rule knows. */
export const LIMITS = { fileLines: 250, medianFileLines: 100, functionLines: 60, columns: 120, filesPerFolder: 12 } as const

/** Endings of type names that say nothing about who passes the value. */
const VAGUE_ENDING = /(Args|Arguments|Bounds|Config|Host|Info|Init|Input|Params|Parts|Settings|Setup|Shared|Traits)$/
const ARGUMENT_ENDING = /(Options|Deps)$/

/** Every breach of the rules for size, names and folders among `files`, each as a sentence; an empty list means that all hold. */
export function findHouseBreaches (files: readonly SourceFile[]): string[] {
  return [
    ...files.flatMap(checkFile),
    ...checkMedian(files),
    ...checkFolders(files),
    // The page is a program of its own, with its own names: what it shares with the service is the protocol.
    ...findSharedNames(files.filter(({ path }) => !isOfPage(path))),
    ...findSharedNames(files.filter(({ path }) => isOfPage(path)))
  ]
}

const isOfPage = (path: string): boolean => path.startsWith('lib/dashboard/')

function checkFile (file: SourceFile): string[] {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true)
  return [...checkLength(file), ...checkColumns(file), ...checkFunctions(source), ...checkArguments(source)]
}

const linesOf = ({ text }: SourceFile): string[] => text.replace(/\n$/, '').split('\n')

function checkLength (file: SourceFile): string[] {
  const { length } = linesOf(file)
  return length > LIMITS.fileLines ? [`${file.path} has ${length} lines, more than ${LIMITS.fileLines}`] : []
}

function checkColumns (file: SourceFile): string[] {
  return linesOf(file).flatMap((line, index) => line.length > LIMITS.columns
    ? [`${file.path}:${index + 1} has ${line.length} columns, more than ${LIMITS.columns}`]
    : [])
}

function checkFunctions (source: ts.SourceFile): string[] {
  return nodesOf(source).filter(isFunctionWithBody).flatMap((node) => {
    const lines = lineOf(source, node.getEnd()) - lineOf(source, node.getStart(source)) + 1
    return lines > LIMITS.functionLines
      ? [`${source.fileName}: ${nameOfFunction(node)} has ${lines} lines, more than ${LIMITS.functionLines}`]
      : []
  })
}

const isFunctionWithBody = (node: ts.Node): node is ts.FunctionLikeDeclaration =>
  ts.isFunctionLike(node) && (node as ts.FunctionLikeDeclaration).body !== undefined

const lineOf = (source: ts.SourceFile, position: number): number => source.getLineAndCharacterOfPosition(position).line

function nameOfFunction (node: ts.FunctionLikeDeclaration): string {
  if (ts.isConstructorDeclaration(node)) return 'a constructor'
  const name = node.name ?? (ts.isVariableDeclaration(node.parent) ? node.parent.name : undefined)
  return name?.getText() ?? 'a function without a name'
}

/**
 * A type that bundles arguments of a constructor or factory ends in Options, for values from users, or in Deps, for what the code
 * passes in. A bundle is taken apart in the signature and declared in the same file; other types are things with a name of their own.
 */
function checkArguments (source: ts.SourceFile): string[] {
  const declared = new Set(source.statements.flatMap(definedNames))
  const makers = nodesOf(source).filter((node) => ts.isConstructorDeclaration(node) || isFactory(node))
  return makers.flatMap((node) => (node as ts.SignatureDeclaration).parameters).flatMap(({ name: parameter, type }) => {
    const name = nameOfType(type)
    if (name === undefined || ARGUMENT_ENDING.test(name)) return []
    const isBundle = ts.isObjectBindingPattern(parameter) && declared.has(name)
    return isBundle || VAGUE_ENDING.test(name)
      ? [`${source.fileName}: the argument type ${name} must end in Options or Deps`]
      : []
  })
}

const isFactory = (node: ts.Node): boolean => ts.isFunctionDeclaration(node) && /^create[A-Z]/.test(node.name?.text ?? '')

const nameOfType = (type: ts.TypeNode | undefined): string | undefined =>
  type !== undefined && ts.isTypeReferenceNode(type) ? type.typeName.getText() : undefined

/** Half of the files are short, whatever the longest ones need. */
function checkMedian (files: readonly SourceFile[]): string[] {
  const lengths = files.map((file) => linesOf(file).length).sort((a, b) => a - b)
  const median = lengths[Math.floor(lengths.length / 2)] ?? 0
  return median > LIMITS.medianFileLines ? [`the median file has ${median} lines, more than ${LIMITS.medianFileLines}`] : []
}

function checkFolders (files: readonly SourceFile[]): string[] {
  const counts = new Map<string, number>()
  for (const { path } of files) counts.set(posix.dirname(path), (counts.get(posix.dirname(path)) ?? 0) + 1)
  return [...counts].flatMap(([folder, count]) => count > LIMITS.filesPerFolder
    ? [`${folder} directly contains ${count} files, more than ${LIMITS.filesPerFolder}`]
    : [])
}

/** One name, one meaning: a reader who searches for a name finds one definition. */
function findSharedNames (files: readonly SourceFile[]): string[] {
  const paths = new Map<string, string[]>()
  for (const file of files) {
    for (const name of exportedNames(file)) paths.set(name, [...paths.get(name) ?? [], file.path])
  }
  return [...paths].flatMap(([name, list]) => list.length > 1 ? [`${name} is defined in ${list.join(' and ')}`] : [])
}

/** Names that a file defines and exports. A schema and its type share a name; passing on the name of another file does not define it. */
function exportedNames ({ path, text }: SourceFile): Set<string> {
  const { statements } = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const defined = statements.map((statement) => ({ statement, names: definedNames(statement) }))
  const local = new Set(defined.flatMap(({ names }) => names))
  const exported = defined.filter(({ statement }) => isExported(statement)).flatMap(({ names }) => names)
  return new Set([...exported, ...statements.flatMap(listedNames).filter((name) => local.has(name))])
}

function definedNames (statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map(({ name }) => name.getText())
  const { name } = statement as ts.DeclarationStatement
  return name === undefined || ts.isImportDeclaration(statement) ? [] : [name.getText()]
}

function isExported (statement: ts.Statement): boolean {
  const kinds = ts.canHaveModifiers(statement) ? ts.getModifiers(statement)?.map(({ kind }) => kind) ?? [] : []
  return kinds.includes(ts.SyntaxKind.ExportKeyword) && !kinds.includes(ts.SyntaxKind.DefaultKeyword)
}

/** The names in `export { a, b as c }`, as the file itself calls them. */
function listedNames (statement: ts.Statement): string[] {
  if (!ts.isExportDeclaration(statement) || statement.moduleSpecifier !== undefined) return []
  const clause = statement.exportClause
  return clause !== undefined && ts.isNamedExports(clause)
    ? clause.elements.map(({ name, propertyName }) => (propertyName ?? name).text)
    : []
}

function nodesOf (source: ts.SourceFile): ts.Node[] {
  const nodes: ts.Node[] = []
  const visit = (node: ts.Node): void => {
    nodes.push(node)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return nodes
}
