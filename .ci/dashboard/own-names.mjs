import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

// Whoever else may name a property of an object of the page: the language, the browser, the libraries, the service,
// and JSON Schema.
const FOREIGN = [
  'node_modules/typescript/lib', 'node_modules/preact', 'node_modules/@preact', 'node_modules/uplot',
  'node_modules/ajv/lib/vocabularies', 'schemas', 'docs/protocol.md'
]
const OWN = ['lib/dashboard', 'lib/client']
const IS_CODE = /\.(m?js|tsx?)$/
const IS_COMPILER = /\/typescript\/lib\/(?!lib\.(es|dom|decorators))/
const NAME = /[A-Za-z_$][\w$]*/g

const read = (path) => readFileSync(path, 'utf8')
const filesIn = (path) => path.endsWith('.md')
  ? [path]
  : readdirSync(path, { recursive: true }).map((name) => join(path, name)).filter((name) => IS_CODE.test(name) && !IS_COMPILER.test(name))

/**
 * The names of properties that only the page uses, so that they can be shortened: neither the language, the browser, a
 * library nor a message of the service has them, and no string of the page contains them.
 */
export function findOwnNames () {
  const foreign = new Set(FOREIGN.flatMap(filesIn).flatMap((path) => foreignText(path).match(NAME) ?? []))
  const own = new Set()
  for (const path of OWN.flatMap(filesIn)) {
    visit(path, (node) => {
      if (isText(node)) for (const name of node.text.match(NAME) ?? []) foreign.add(name)
      if (ts.isIdentifier(node) && isProperty(node)) own.add(node.text)
    })
  }
  return [...own].filter((name) => !foreign.has(name) && /^[a-z]\w{2,}$/.test(name))
}

function visit (path, see) {
  const walk = (node) => {
    see(node)
    ts.forEachChild(node, walk)
  }
  walk(ts.createSourceFile(path, read(path), ts.ScriptTarget.ES2022, true))
}

// Everything but prose.
function foreignText (path) {
  if (path.endsWith('.md')) return read(path).match(/```[^]*?```|`[^`]+`/g).join(' ')
  const source = read(path).replace(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
  return path.startsWith('schemas') ? source.replace(/(?:description|title): (?:'[^']*'|`[^`]*`)/g, '') : source
}

const isText = (node) => ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)

const isProperty = ({ parent, text }) =>
  (parent.name?.text === text && !ts.isVariableDeclaration(parent) && !ts.isFunctionDeclaration(parent)) ||
  ts.isBindingElement(parent) || ts.isShorthandPropertyAssignment(parent)
