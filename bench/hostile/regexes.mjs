import { readdirSync, readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import ts from 'typescript'

const ROOT = new URL('../../', import.meta.url)
const PUMPS = ['a', '0', ' ', '/', '.', '-', '_', ':', '"', '\\', '\n', 'é', 'a.', '0.', 'a:', 'a ']
const LENGTH = 100_000

/** The slowest search of any regular expression of the sources in repetitive texts of 100 kB, in ms. */
export function timeRegexes () {
  const patterns = ['lib', 'schemas'].flatMap((folder) => readdirSync(new URL(folder, ROOT), { recursive: true })
    .filter((name) => name.endsWith('.ts')).flatMap((name) => patternsIn(new URL(`${folder}/${name}`, ROOT))))
  let slowest = { tookMs: 0, pattern: '' }
  for (const pump of PUMPS) {
    const long = pump.repeat(LENGTH / pump.length)
    for (const text of [long, `http://${long}!`, `${long}\0`]) {
      for (const pattern of patterns) {
        const startedMs = performance.now()
        text.search(pattern)
        const tookMs = performance.now() - startedMs
        if (tookMs > slowest.tookMs) slowest = { tookMs, pattern: String(pattern) }
      }
    }
  }
  return { count: patterns.length, ...slowest }
}

/** Whether a node is the property `pattern` of a schema. */
const isPattern = (node) =>
  ts.isPropertyAssignment(node) && node.name.getText() === 'pattern' && ts.isStringLiteral(node.initializer)

function patternsIn (url) {
  const found = []
  const visit = (node) => {
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/')
      found.push(new RegExp(node.text.slice(1, end), node.text.slice(end + 1)))
    } else if (isPattern(node)) {
      found.push(new RegExp(node.initializer.text, 'u'))
    }
    node.forEachChild(visit)
  }
  visit(ts.createSourceFile(url.pathname, readFileSync(url, 'utf8'), ts.ScriptTarget.Latest, true))
  return found
}
